// The inner loops over blocks, one set for each instruction set, all with the same results.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "block_index.hpp"

namespace lsr {

using Bound = std::uint16_t;  // an upper bound of a score, in units of the query's scale

// Blocks whose bounds are computed, and summed up in one maximum, together.
constexpr std::size_t chunk_size = 64;
static_assert(row_unit % chunk_size == 0);

// A term's part of a bound: weight is its query weight times step, in units of 1/256.
[[nodiscard]] constexpr Bound part_of_bound(std::uint16_t weight, Impact impact) noexcept {
    return static_cast<Bound>((std::uint32_t{weight} * impact) >> 8);
}

struct WideTerm {
    const Impact* row;
    const Group* groups;
    const BlockMask* masks;
    const HalfWeight* weights;
    std::uint16_t weight;
};

// A document to be scored: `slot` of its block, and its lane there.
struct Candidate {
    std::uint16_t slot;
    BlockId block;
    std::uint16_t lane;
    Bound bound;
};

// Blocks that are looked at document by document: `lanes` has a bound for each document of each.
struct Candidates {
    const BlockId* blocks;
    std::array<Bound, block_size>* lanes;
};

struct Kernels {
    std::string_view name;

    // Adds each term's part to the bound of every block; `chunk_max` gets the largest of each
    // chunk. `blocks` is a multiple of chunk_size.
    void (*sweep)(const WideTerm* terms, std::size_t term_count, Bound* bounds, std::size_t blocks,
                  Bound* chunk_max);

    // Blocks with a bound of at least `needed` (1 or more), ascending; returns how many.
    // `chosen` has room for all blocks.
    std::size_t (*select)(const Bound* bounds, std::size_t blocks, const Bound* chunk_max,
                          Bound needed, BlockId* chosen);

    // Takes the term's part off the lanes of documents without it. `active` holds places in
    // `candidates`; those with a lane of at least `needed` stay in it, in order; returns how many.
    // `found` gets the place of each one's mask in the list.
    // `next` is the term whose turn is next.
    std::size_t (*refine)(const WideTerm& term, const WideTerm& next,
                          const Candidates& candidates, std::uint16_t* active,
                          std::size_t active_count, Bound needed, std::uint32_t* found);

    // For each candidate in `chosen` the place of its weight among the term's, -1 where it lacks
    // the term; `found` is what `refine` left, by slot. `places` is by candidate.
    void (*locate)(const WideTerm& term, const Candidate* candidates, const std::uint32_t* chosen,
                   std::size_t count, const std::uint32_t* found, std::int32_t* places);

    // Takes from each bound what the term's block maximum is above the document's own weight, in
    // units of `unit`. Those that stay at `needed` or above stay in `chosen`; returns how many.
    std::size_t (*tighten)(const WideTerm& term, float unit, Candidate* candidates,
                           std::uint32_t* chosen, std::size_t count, const std::int32_t* places,
                           Bound needed);

    // A bit for each lane of at least `needed` (1 or more).
    std::uint32_t (*reaching)(const std::array<Bound, block_size>& lanes, Bound needed);
};

[[nodiscard]] const Kernels& scalar_kernels() noexcept;
// The set of that name, or nullptr where this machine or build lacks it.
[[nodiscard]] const Kernels* kernels_named(std::string_view name) noexcept;
// The fastest set this machine has.
[[nodiscard]] const Kernels& best_kernels() noexcept;

}  // namespace lsr
