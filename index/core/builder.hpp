// Builds the inverted index of one segment.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "block_index.hpp"
#include "reorder.hpp"

namespace lsr {

struct BuildConfig {
    bool reorder = true;    // false: documents keep their order
    unsigned threads = 1;
};

// The arrays of a BlockIndex, owned.
struct BlockIndexArrays {
    std::vector<DocId> order;
    std::vector<TermId> terms;
    std::vector<float> steps;
    std::vector<std::int64_t> weight_starts;
    std::vector<HalfWeight> weights;
    std::vector<std::int32_t> rows;
    std::vector<std::int64_t> narrow_starts;
    std::vector<BlockId> narrow_blocks;
    std::vector<std::uint8_t> narrow_lanes;
    std::vector<Impact> narrow_impacts;
    std::vector<Impact> block_max;
    std::vector<Group> groups;
    std::vector<std::int64_t> mask_starts;
    std::vector<BlockMask> masks;

    [[nodiscard]] BlockIndex view() const;
};

// Weights of 0 get no posting. The same arrays for any number of threads.
// Throws std::invalid_argument where the documents are malformed (offsets, terms that are not
// strictly ascending or outside the vocabulary, weights that are negative or not finite) or more
// than largest_document_count.
[[nodiscard]] BlockIndexArrays build(const Documents& documents, std::size_t vocabulary_size,
                                     const BuildConfig& config);

// Fills in what follows from order, terms, weight_starts and weights, and from the documents of the
// lists, which stand as the weights do: places in the order, ascending in each list.
void assemble(BlockIndexArrays& arrays, std::span<const DocId> documents, unsigned threads);

}  // namespace lsr
