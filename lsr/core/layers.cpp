#include "layers.hpp"

#include "kernels.hpp"
#include "layer_kernels.hpp"

namespace lsr::head {
namespace {

// What every x86-64 and ARM processor has; elsewhere the compiler makes single floats of it.
using Vector [[gnu::vector_size(16)]] = float;
using Integers [[gnu::vector_size(16)]] = std::int32_t;
using Bytes [[gnu::vector_size(4)]] = std::int8_t;

constexpr auto scalar = Layers<Vector, Integers, Bytes, 6>::kernels("scalar");

}  // namespace

#ifdef LSR_X86
const LayerKernels& avx2_layers() noexcept;
const LayerKernels& avx512_layers() noexcept;
#endif

const LayerKernels* layer_kernels_named(std::string_view name) noexcept {
    if (kernels_named(name) == nullptr) return nullptr;
#ifdef LSR_X86
    if (name == avx2_layers().name) return &avx2_layers();
    if (name == avx512_layers().name) return &avx512_layers();
#endif
    return &scalar;
}

}  // namespace lsr::head
