#include "layer_kernels.hpp"

namespace lsr::head {
namespace {

using Vector [[gnu::vector_size(64)]] = float;
using Integers [[gnu::vector_size(64)]] = std::int32_t;

constexpr auto kernels = Layers<Vector, Integers, 12>::kernels("avx512");

}  // namespace

const LayerKernels& avx512_layers() noexcept { return kernels; }

}  // namespace lsr::head
