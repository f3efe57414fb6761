#include <immintrin.h>

#include <limits>
#include <utility>

#include "kernels.hpp"
#include "unrolled.hpp"
#include "vnni.hpp"

namespace lsr::head {
namespace {

constexpr std::size_t tile = 12;
constexpr std::make_index_sequence<tile> each_token;

std::uint32_t passing(__m512i largest, const TermBounds& terms, std::size_t first,
                      const DocumentBounds& document, float floor) {
    const auto load = [first](const float* values) { return _mm512_loadu_ps(values + first); };
    const auto scale = _mm512_mul_ps(load(terms.scale), _mm512_set1_ps(document.scale));
    auto bound = load(terms.constant);
    bound = _mm512_add_ps(bound, _mm512_mul_ps(_mm512_cvtepi32_ps(largest), scale));
    bound = _mm512_add_ps(bound,
                          _mm512_mul_ps(load(terms.norm), _mm512_set1_ps(document.alpha)));
    bound = _mm512_add_ps(bound,
                          _mm512_mul_ps(load(terms.error), _mm512_set1_ps(document.beta)));
    return _mm512_cmp_ps_mask(bound, _mm512_set1_ps(floor), _CMP_NLE_UQ);
}

std::uint32_t screen(const std::uint8_t* weights, std::size_t groups, const ScreenTokens& tokens,
                     const TermBounds& terms, const DocumentBounds& document, float floor) {
    const auto* first = weights;
    const auto* second = weights + groups * lanes * depth;
    auto low = _mm512_set1_epi32(std::numeric_limits<std::int32_t>::min());
    auto high = low;
    for (std::size_t t = 0; t < tokens.tiles; ++t) {
        const auto* values = tokens.values + t * groups * tile * depth;
        __m512i sums[tile][2];
        unrolled(each_token, [&](auto i) {
            sums[i][0] = sums[i][1] = _mm512_set1_epi32(tokens.offsets[t * tile + i]);
        });
        for (std::size_t group = 0; group < groups; ++group) {
            const auto w0 = _mm512_loadu_si512(first + group * lanes * depth);
            const auto w1 = _mm512_loadu_si512(second + group * lanes * depth);
            unrolled(each_token, [&](auto i) {
                const auto v = broadcast(values + (group * tile + i) * depth);
                multiply_add(sums[i][0], w0, v);
                multiply_add(sums[i][1], w1, v);
            });
        }
        unrolled(each_token, [&](auto i) {
            low = _mm512_max_epi32(low, sums[i][0]);
            high = _mm512_max_epi32(high, sums[i][1]);
        });
    }
    return passing(low, terms, 0, document, floor) |
           passing(high, terms, lanes, document, floor) << lanes;
}

void project(const float* weights, std::size_t width, const float* tokens, std::size_t tiles,
             Winners& winners) {
    auto best = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    auto winner = _mm512_setzero_si512();
    for (std::size_t t = 0; t < tiles; ++t) {
        const auto* values = tokens + t * width * tile;
        __m512 sums[tile];
        unrolled(each_token, [&](auto i) { sums[i] = _mm512_setzero_ps(); });
        for (std::size_t k = 0; k < width; ++k) {
            const auto w = _mm512_loadu_ps(weights + k * lanes);
            unrolled(each_token, [&](auto i) {
                sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(values[k * tile + i]), w, sums[i]);
            });
        }
        unrolled(each_token, [&](auto i) {
            const auto larger = _mm512_cmp_ps_mask(sums[i], best, _CMP_GT_OQ);
            best = _mm512_mask_mov_ps(best, larger, sums[i]);
            winner = _mm512_mask_set1_epi32(winner, larger, static_cast<std::int32_t>(t * tile + i));
        });
    }
    _mm512_storeu_ps(winners.largest.data(), best);
    _mm512_storeu_si512(winners.tokens.data(), winner);
}

constexpr Kernels avx512{"avx512", tile, 127, 127, screen, project};

}  // namespace

const Kernels& avx512_kernels() noexcept { return avx512; }

}  // namespace lsr::head
