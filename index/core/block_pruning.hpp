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
#include "scratch.hpp"
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
