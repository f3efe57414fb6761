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
    double factor = 1;                    // skip blocks whose bound times this is below the k-th score
    std::chrono::microseconds budget{0};  // 0: any time

    [[nodiscard]] bool exact() const noexcept {
        return factor >= 1 && budget.count() == 0;
    }
};

// Which way to go: what the planner finds faster, or one way wherever it gives an exact answer.
enum class Choice : std::uint8_t { fastest, exhaustive, block_pruning };

// A part of the documents searched. Documents are numbered through: those of a part have its first
// number and, by ordinal, those that follow.
struct Part {
    const BlockIndex* index;
    Allowed allowed;
    DocId first = 0;
};

// What a search found: documents best first, ties by number ascending; a score that no document
// left out by the pruning exceeds, or 0; and the ways that were gone, in any part.
struct Ranking {
    std::vector<ScoredDocument> documents;
    Score unseen = 0;
    bool exhaustive = false;
    bool block_pruning = false;
};

// The k allowed documents of highest inner product above 0 and not below `floor`. Parts, which
// ascend, share the score to beat. `scratch` grows to one for each part.
[[nodiscard]] Ranking search(std::span<const Part> parts, const SparseQuery& query, std::size_t k,
                             Score floor, const Pruning& pruning, Choice choice,
                             const Kernels& kernels, std::vector<Scratch>& scratch);

}  // namespace lsr
