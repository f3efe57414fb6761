// Top-k search that scores only the blocks whose bounds reach the k-th best score.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "block_index.hpp"
#include "kernels.hpp"
#include "query.hpp"
#include "topk.hpp"

namespace lsr {

// What a search may leave out; the default leaves out nothing that could change the answer.
struct Pruning {
    double factor = 1;           // skip blocks whose bound times this is below the k-th score
    std::size_t blocks = 0;      // at most so many blocks are looked into; 0: any number
    std::chrono::microseconds budget{0};  // 0: any time

    [[nodiscard]] bool exact() const noexcept {
        return factor >= 1 && blocks == 0 && budget.count() == 0;
    }
};

enum class Plan : std::uint8_t { nothing, exhaustive, block_pruning };

// Which way to go: what the planner finds faster, or one way wherever it gives an exact answer.
enum class Choice : std::uint8_t { fastest, exhaustive, block_pruning };

// Counts of one search, for `explain` and benchmarks.
struct SearchTrace {
    Plan plan = Plan::nothing;
    std::size_t blocks_refined = 0;
    std::size_t documents_scored = 0;
};

// Scratch space of one thread, reused from query to query.
struct Scratch {
    struct NarrowHit {
        std::uint16_t slot;
        std::uint16_t lane;
        std::uint32_t posting;  // in the term's list
    };
    std::vector<Bound> bounds;       // by block
    std::vector<Bound> chunk_max;
    std::vector<Bound> ranked;
    std::vector<BlockId> selected;
    std::vector<BlockId> survivors;
    std::vector<std::uint16_t> slots;  // by block: its place in `survivors` while it is active
    std::vector<std::array<Bound, block_size>> lanes;  // by slot, as all below
    std::vector<std::uint16_t> active;
    std::vector<std::uint32_t> found;  // by wide term and slot: its mask
    std::vector<WideTerm> wide;
    std::vector<std::size_t> narrow;     // places in the query
    std::vector<float> units;            // by wide term: bound units in a weight of 1
    std::vector<std::uint32_t> place_of_term;  // by place in the query: place in either of these
    std::vector<std::uint32_t> matches;
    std::vector<NarrowHit> hits;
    std::vector<std::size_t> hit_ends;   // by place in `narrow`
    std::vector<Candidate> candidates;  // those scored together, by slot
    std::vector<Candidate> later;
    std::vector<std::uint32_t> chosen;  // places in `candidates`
    std::vector<std::int32_t> places;  // by wide term and candidate: its weight's
};

// The k documents of highest inner product above 0 and not below `floor`, best first, ties by
// ordinal ascending. `allowed` has a mask for each block of the documents that may be returned, or
// is empty: all may. `unseen` becomes a score that no document left out by `pruning` exceeds, or 0.
[[nodiscard]] std::vector<ScoredDocument> search(const BlockIndex& index, const SparseQuery& query,
                                                 std::size_t k, Score floor,
                                                 std::span<const BlockMask> allowed,
                                                 const Pruning& pruning, Choice choice,
                                                 const Kernels& kernels, Scratch& scratch,
                                                 Score& unseen, SearchTrace& trace);

}  // namespace lsr
