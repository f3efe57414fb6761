#include <immintrin.h>

#include <limits>
#include <utility>

#include "kernels.hpp"
#include "unrolled.hpp"

namespace lsr::head {
namespace {

constexpr std::size_t tile = 4;
constexpr std::make_index_sequence<tile> each_token;
constexpr std::size_t width_of_register = 8;
// Sums of four products fit 16 bits, so half of the widening additions are saved.
constexpr std::int32_t state_limit = 63;
constexpr std::int32_t weight_limit = 63;
static_assert(4 * (2 * weight_limit + 1) * state_limit <= std::numeric_limits<std::int16_t>::max());
static_assert(group_unit == 2);

__m256i broadcast(const std::int8_t* four) {
    std::int32_t bits;
    __builtin_memcpy(&bits, four, sizeof(bits));
    return _mm256_set1_epi32(bits);
}

__m256 load(const float* values) { return _mm256_loadu_ps(values); }

unsigned passing(__m256i largest, const TermBounds& terms, std::size_t first,
                 const DocumentBounds& document, __m256 floor) {
    const auto scale =
        _mm256_mul_ps(load(terms.scale + first), _mm256_set1_ps(document.scale));
    auto bound = load(terms.constant + first);
    bound = _mm256_add_ps(bound, _mm256_mul_ps(_mm256_cvtepi32_ps(largest), scale));
    bound = _mm256_add_ps(
        bound, _mm256_mul_ps(load(terms.norm + first), _mm256_set1_ps(document.alpha)));
    bound = _mm256_add_ps(
        bound, _mm256_mul_ps(load(terms.error + first), _mm256_set1_ps(document.beta)));
    return static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_cmp_ps(bound, floor, _CMP_NLE_UQ)));
}

std::uint32_t screen(const std::uint8_t* weights, std::size_t groups, const ScreenTokens& tokens,
                     const TermBounds& terms, const DocumentBounds& document, float floor) {
    const auto ones = _mm256_set1_epi16(1);
    std::uint32_t bits = 0;
    for (std::size_t half = 0; half < block_terms / lanes; ++half) {
        const auto* packed =
            reinterpret_cast<const __m256i*>(weights + half * groups * lanes * depth);
        auto low = _mm256_set1_epi32(std::numeric_limits<std::int32_t>::min());
        auto high = low;
        for (std::size_t t = 0; t < tokens.tiles; ++t) {
            const auto* values = tokens.values + t * groups * tile * depth;
            __m256i sums[tile][2];
            unrolled(each_token, [&](auto i) {
                sums[i][0] = sums[i][1] = _mm256_set1_epi32(tokens.offsets[t * tile + i]);
            });
            for (std::size_t group = 0; group < groups; group += group_unit) {
                const auto* w = packed + 2 * group;
                const auto w0 = _mm256_loadu_si256(w);
                const auto w1 = _mm256_loadu_si256(w + 1);
                const auto w2 = _mm256_loadu_si256(w + 2);
                const auto w3 = _mm256_loadu_si256(w + 3);
                unrolled(each_token, [&](auto i) {
                    const auto* pair = values + (group * tile + i) * depth;
                    const auto v0 = broadcast(pair);
                    const auto v1 = broadcast(pair + tile * depth);
                    const auto p0 = _mm256_add_epi16(_mm256_maddubs_epi16(w0, v0),
                                                     _mm256_maddubs_epi16(w2, v1));
                    const auto p1 = _mm256_add_epi16(_mm256_maddubs_epi16(w1, v0),
                                                     _mm256_maddubs_epi16(w3, v1));
                    sums[i][0] = _mm256_add_epi32(sums[i][0], _mm256_madd_epi16(p0, ones));
                    sums[i][1] = _mm256_add_epi32(sums[i][1], _mm256_madd_epi16(p1, ones));
                });
            }
            unrolled(each_token, [&](auto i) {
                low = _mm256_max_epi32(low, sums[i][0]);
                high = _mm256_max_epi32(high, sums[i][1]);
            });
        }
        const auto first = half * lanes;
        const auto above = _mm256_set1_ps(floor);
        bits |= passing(low, terms, first, document, above) << first;
        bits |= passing(high, terms, first + width_of_register, document, above)
                << (first + width_of_register);
    }
    return bits;
}

void project(const float* weights, std::size_t width, const float* tokens, std::size_t tiles,
             Winners& winners) {
    auto low = _mm256_set1_ps(-std::numeric_limits<float>::infinity());
    auto high = low;
    auto low_token = _mm256_setzero_ps();
    auto high_token = low_token;
    for (std::size_t t = 0; t < tiles; ++t) {
        const auto* values = tokens + t * width * tile;
        __m256 sums[tile][2];
        unrolled(each_token, [&](auto i) { sums[i][0] = sums[i][1] = _mm256_setzero_ps(); });
        for (std::size_t k = 0; k < width; ++k) {
            const auto w0 = load(weights + k * lanes);
            const auto w1 = load(weights + k * lanes + width_of_register);
            unrolled(each_token, [&](auto i) {
                const auto v = _mm256_broadcast_ss(values + k * tile + i);
                sums[i][0] = _mm256_fmadd_ps(v, w0, sums[i][0]);
                sums[i][1] = _mm256_fmadd_ps(v, w1, sums[i][1]);
            });
        }
        unrolled(each_token, [&](auto i) {
            const auto token = _mm256_castsi256_ps(
                _mm256_set1_epi32(static_cast<std::int32_t>(t * tile + i)));
            const auto update = [&](__m256& best, __m256& winner, __m256 sum) {
                const auto larger = _mm256_cmp_ps(sum, best, _CMP_GT_OQ);
                best = _mm256_blendv_ps(best, sum, larger);
                winner = _mm256_blendv_ps(winner, token, larger);
            };
            update(low, low_token, sums[i][0]);
            update(high, high_token, sums[i][1]);
        });
    }
    _mm256_storeu_ps(winners.largest.data(), low);
    _mm256_storeu_ps(winners.largest.data() + width_of_register, high);
    auto* tokens_of = reinterpret_cast<__m256i*>(winners.tokens.data());
    _mm256_storeu_si256(tokens_of, _mm256_castps_si256(low_token));
    _mm256_storeu_si256(tokens_of + 1, _mm256_castps_si256(high_token));
}

constexpr Kernels avx2{"avx2", tile, state_limit, weight_limit, screen, project};

}  // namespace

const Kernels& avx2_kernels() noexcept { return avx2; }

}  // namespace lsr::head
