#include "layer_kernels.hpp"

namespace lsr::head {
namespace {

using Vector [[gnu::vector_size(32)]] = float;
using Integers [[gnu::vector_size(32)]] = std::int32_t;
using Bytes [[gnu::vector_size(8)]] = std::int8_t;

constexpr auto kernels = Layers<Vector, Integers, Bytes, 6>::kernels("avx2");

}  // namespace

const LayerKernels& avx2_layers() noexcept { return kernels; }

}  // namespace lsr::head
