#include "kernels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lsr::head {
namespace {

constexpr std::size_t tile = 4;

std::uint32_t screen(const std::uint8_t* weights, std::size_t groups, const ScreenTokens& tokens,
                     const TermBounds& terms, const DocumentBounds& document, float floor) {
    std::uint32_t passing = 0;
    for (std::size_t half = 0; half < block_terms / lanes; ++half) {
        const auto* packed = weights + half * groups * lanes * depth;
        std::array<std::int32_t, lanes> largest;
        largest.fill(std::numeric_limits<std::int32_t>::min());
        for (std::size_t token = 0; token < tokens.tiles * tile; ++token) {
            const auto* values =
                tokens.values + (token / tile) * groups * tile * depth + token % tile * depth;
            std::array<std::int32_t, lanes> sums;
            sums.fill(tokens.offsets[token]);
            for (std::size_t group = 0; group < groups; ++group) {
                for (std::size_t lane = 0; lane < lanes; ++lane) {
                    for (std::size_t d = 0; d < depth; ++d) {
                        sums[lane] += packed[(group * lanes + lane) * depth + d] *
                                      values[group * tile * depth + d];
                    }
                }
            }
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                largest[lane] = std::max(largest[lane], sums[lane]);
            }
        }
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const auto term = half * lanes + lane;
            const float bound = terms.constant[term] +
                                static_cast<float>(largest[lane]) *
                                    (terms.scale[term] * document.scale) +
                                terms.norm[term] * document.alpha +
                                terms.error[term] * document.beta;
            passing |= static_cast<std::uint32_t>(!(bound <= floor)) << term;
        }
    }
    return passing;
}

void project(const float* weights, std::size_t width, const float* tokens, std::size_t tiles,
             Winners& winners) {
    winners.largest.fill(-std::numeric_limits<float>::infinity());
    winners.tokens.fill(0);
    for (std::size_t token = 0; token < tiles * tile; ++token) {
        const auto* values = tokens + (token / tile) * width * tile + token % tile;
        std::array<float, lanes> sums{};
        for (std::size_t k = 0; k < width; ++k) {
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                sums[lane] = std::fma(values[k * tile], weights[k * lanes + lane], sums[lane]);
            }
        }
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            if (sums[lane] > winners.largest[lane]) {
                winners.largest[lane] = sums[lane];
                winners.tokens[lane] = static_cast<std::int32_t>(token);
            }
        }
    }
}

constexpr Kernels scalar{"scalar", tile, 127, 127, screen, project};

}  // namespace

const Kernels& scalar_kernels() noexcept { return scalar; }

#ifdef LSR_X86
const Kernels& avx2_kernels() noexcept;
const Kernels& avx512_kernels() noexcept;
#endif

const Kernels* kernels_named(std::string_view name) noexcept {
    if (name == scalar.name) return &scalar;
#ifdef LSR_X86
    if (name == avx2_kernels().name && __builtin_cpu_supports("avx2") != 0 &&
        __builtin_cpu_supports("fma") != 0) {
        return &avx2_kernels();
    }
    if (name == avx512_kernels().name && __builtin_cpu_supports("avx512f") != 0 &&
        __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vnni") != 0) {
        return &avx512_kernels();
    }
#endif
    return nullptr;
}

const Kernels& best_kernels() noexcept {
    for (const auto* name : {"avx512", "avx2"}) {
        if (const auto* found = kernels_named(name)) return *found;
    }
    return scalar;
}

}  // namespace lsr::head
