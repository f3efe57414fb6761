// Document order by recursive graph bisection: documents that share terms stand together.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "types.hpp"

namespace lsr {

// Document vectors in compressed sparse rows; terms ascending within a row.
struct Documents {
    std::span<const std::int64_t> offsets;
    std::span<const TermId> terms;
    std::span<const HalfWeight> weights;

    [[nodiscard]] std::size_t size() const noexcept { return offsets.size() - 1; }
};

// A permutation of the documents. Dhulipala et al., "Compressing Graphs and Indexes with Recursive
// Graph Bisection", KDD 2016, over the heaviest terms of each document. The same for any number of
// threads.
[[nodiscard]] std::vector<DocId> bisect(const Documents& documents, std::size_t vocabulary_size,
                                        unsigned threads);

}  // namespace lsr
