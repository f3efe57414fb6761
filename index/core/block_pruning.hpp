// Top-k search that scores only the blocks whose bounds reach the k-th best score.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "block_index.hpp"
#include "kernels.hpp"
#include "query.hpp"
#include "scratch.hpp"
#include "topk.hpp"

namespace lsr {

// What a search may leave out; the default leaves out nothing that could change the answer.
struct Pruning {
    double factor = 1;                    // skip blocks whose bound times this is below the k-th score
    std::chrono::microseconds budget{0};  // 0: any time

    [[nodiscard]] bool exact() const noexcept {
        return factor >= 1 && budget.count() == 0;
    }
};

enum class Strategy : std::uint8_t { nothing, exhaustive, block_pruning };

// Which way to go: what the planner finds faster, or one way wherever it gives an exact answer.
enum class Choice : std::uint8_t { fastest, exhaustive, block_pruning };

// What a search found: documents best first, ties by ordinal ascending; a score that no document
// left out by the pruning exceeds, or 0; and the way that was gone.
struct Ranking {
    std::vector<ScoredDocument> documents;
    Score unseen = 0;
    Strategy strategy = Strategy::nothing;
};

// The k allowed documents of highest inner product above 0 and not below `floor`.
[[nodiscard]] Ranking search(const BlockIndex& index, const SparseQuery& query, std::size_t k,
                             Score floor, const Allowed& allowed, const Pruning& pruning,
                             Choice choice, const Kernels& kernels, Scratch& scratch);

}  // namespace lsr
