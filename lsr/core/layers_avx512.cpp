#include <immintrin.h>

#include "layer_kernels.hpp"
#include "vnni.hpp"

namespace lsr::head {
namespace {

constexpr std::size_t lanes = 16;
constexpr std::size_t block = 2 * lanes;
constexpr std::size_t tile = 12;

[[gnu::always_inline]] inline void finish(__m512i sums, __m512 scale, const WholeProduct& product,
                                         std::size_t output, float* out) {
    const auto scales = _mm512_mul_ps(scale, _mm512_loadu_ps(product.scales + output));
    const auto bias = _mm512_loadu_ps(product.bias + output);
    _mm512_storeu_ps(out, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), scales, bias));
}

template <std::size_t Tokens>
void multiply_tile(const WholeProduct& product, std::size_t first, const std::uint8_t* weight,
                   std::size_t output) {
    constexpr std::make_index_sequence<Tokens> each_token;
    const auto groups = product.groups;
    const auto length = groups * whole_depth;
    const auto* input = product.input + first * length;
    __m512i sums[Tokens][2];
    unrolled(each_token, [&](auto t) __attribute__((always_inline)) {
        sums[t][0] = sums[t][1] = _mm512_set1_epi32(product.offsets[first + t]);
    });
    for (std::size_t group = 0; group < groups; ++group) {
        const auto w0 = _mm512_loadu_si512(weight + group * block * whole_depth);
        const auto w1 = _mm512_loadu_si512(weight + (group * block + lanes) * whole_depth);
        unrolled(each_token, [&](auto t) __attribute__((always_inline)) {
            const auto values = broadcast(input + t * length + group * whole_depth);
            multiply_add(sums[t][0], w0, values);
            multiply_add(sums[t][1], w1, values);
        });
    }
    // Where GCC 12 doesn't inline this, the sums stay in memory above too.
    unrolled(each_token, [&](auto t) __attribute__((always_inline)) {
        const auto scale = _mm512_set1_ps(product.input_scales[first + t]);
        auto* out = product.output + (first + t) * product.output_stride + output;
        finish(sums[t][0], scale, product, output, out);
        finish(sums[t][1], scale, product, output + lanes, out + lanes);
    });
}

void multiply_whole(const WholeProduct& product, std::size_t tokens) {
    for (std::size_t output = 0; output < product.outputs; output += block) {
        const auto* weight = product.weight + output * product.groups * whole_depth;
        std::size_t first = 0;
        for (; first + tile <= tokens; first += tile) {
            multiply_tile<tile>(product, first, weight, output);
        }
        for (; first + 3 <= tokens; first += 3) multiply_tile<3>(product, first, weight, output);
        for (; first < tokens; ++first) multiply_tile<1>(product, first, weight, output);
    }
}

using Vector [[gnu::vector_size(64)]] = float;
using Integers [[gnu::vector_size(64)]] = std::int32_t;
using Bytes [[gnu::vector_size(16)]] = std::int8_t;

constexpr auto kernels = Layers<Vector, Integers, Bytes, tile>::kernels("avx512", multiply_whole);

}  // namespace

const LayerKernels& avx512_layers() noexcept { return kernels; }

}  // namespace lsr::head
