#include "kernels.hpp"

#include <algorithm>
#include <bit>

namespace lsr {
namespace {

void sweep(const WideTerm* terms, std::size_t term_count, Bound* bounds, std::size_t blocks,
           Bound* chunk_max) {
    for (std::size_t begin = 0; begin < blocks; begin += chunk_size) {
        Bound largest = 0;
        for (auto block = begin; block < begin + chunk_size; ++block) {
            for (std::size_t t = 0; t < term_count; ++t) {
                bounds[block] = static_cast<Bound>(
                    bounds[block] + part_of_bound(terms[t].weight, terms[t].row[block]));
            }
            largest = std::max(largest, bounds[block]);
        }
        chunk_max[begin / chunk_size] = largest;
    }
}

std::size_t select(const Bound* bounds, std::size_t blocks, const Bound* chunk_max, Bound needed,
                   BlockId* chosen) {
    std::size_t count = 0;
    for (std::size_t begin = 0; begin < blocks; begin += chunk_size) {
        if (chunk_max[begin / chunk_size] < needed) continue;
        for (auto block = begin; block < begin + chunk_size; ++block) {
            if (bounds[block] >= needed) chosen[count++] = static_cast<BlockId>(block);
        }
    }
    return count;
}

std::uint32_t reaching(const std::array<Bound, block_size>& lanes, Bound needed) {
    std::uint32_t bits = 0;
    for (std::size_t lane = 0; lane < block_size; ++lane) {
        bits |= static_cast<std::uint32_t>(lanes[lane] >= needed) << lane;
    }
    return bits;
}

std::size_t refine(const WideTerm& term, const WideTerm& /*next*/, const Candidates& candidates,
                   std::uint16_t* active, std::size_t active_count, Bound needed,
                   std::uint32_t* found) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < active_count; ++i) {
        const auto place = active[i];
        const std::size_t block = candidates.blocks[place];
        const auto first = block / group_size * group_size;
        const auto held = static_cast<std::size_t>(
            std::count(term.row + first, term.row + block, Impact{0}));
        const auto mask = term.groups[block / group_size].mask +
                          static_cast<std::uint32_t>(block - first - held);
        found[place] = mask;
        const auto part = part_of_bound(term.weight, term.row[block]);
        const std::uint32_t documents = term.masks[mask];
        auto& lanes = candidates.lanes[place];
        for (std::size_t lane = 0; lane < block_size; ++lane) {
            const bool holds = (documents >> lane & 1U) != 0;
            const auto off = holds ? Bound{0} : std::min(part, lanes[lane]);
            lanes[lane] = static_cast<Bound>(lanes[lane] - off);
        }
        active[kept] = place;
        kept += reaching(lanes, needed) != 0 ? 1 : 0;
    }
    return kept;
}

void locate(const WideTerm& term, const Candidate* candidates, const std::uint32_t* chosen,
            std::size_t count, const std::uint32_t* found, std::int32_t* places) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto& candidate = candidates[chosen[i]];
        const auto& group = term.groups[candidate.block / group_size];
        const auto mask = found[candidate.slot];
        const std::uint32_t documents = term.masks[mask];
        auto place = group.weight;
        for (auto m = group.mask; m < mask; ++m) {
            place += static_cast<std::uint32_t>(std::popcount(term.masks[m]));
        }
        place += static_cast<std::uint32_t>(
            std::popcount(documents & ((1U << candidate.lane) - 1)));
        const bool holds =
            (documents >> candidate.lane & 1U) != 0 && term.row[candidate.block] != 0;
        places[chosen[i]] = holds ? static_cast<std::int32_t>(place) : -1;
    }
}

std::size_t tighten(const WideTerm& term, float unit, Candidate* candidates, std::uint32_t* chosen,
                    std::size_t count, const std::int32_t* places, Bound needed) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count; ++i) {
        auto& candidate = candidates[chosen[i]];
        const auto place = places[chosen[i]];
        if (place >= 0) {
            const auto part = part_of_bound(term.weight, term.row[candidate.block]);
            const auto own = static_cast<Bound>(unit * term.weights[place].value());
            candidate.bound = static_cast<Bound>(candidate.bound - (part - std::min(own, part)));
        }
        chosen[kept] = chosen[i];
        kept += candidate.bound >= needed ? 1 : 0;
    }
    return kept;
}

constexpr Kernels scalar{"scalar", sweep, select, refine, locate, tighten, reaching};

}  // namespace

const Kernels& scalar_kernels() noexcept { return scalar; }

#if defined(LSR_AVX2)
const Kernels& avx2_kernels() noexcept;
#endif

const Kernels* kernels_named(std::string_view name) noexcept {
    if (name == scalar.name) return &scalar;
#if defined(LSR_AVX2)
    if (name == avx2_kernels().name && __builtin_cpu_supports("avx2") != 0 &&
        __builtin_cpu_supports("bmi2") != 0 && __builtin_cpu_supports("popcnt") != 0) {
        return &avx2_kernels();
    }
#endif
    return nullptr;
}

const Kernels& best_kernels() noexcept {
    const auto* best = kernels_named("avx2");
    return best != nullptr ? *best : scalar;
}

}  // namespace lsr
