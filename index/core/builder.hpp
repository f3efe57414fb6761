// Builds the inverted index of one segment.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "block_index.hpp"
#include "large_pages.hpp"
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
    LargeVector<HalfWeight> weights;
    std::vector<std::int32_t> rows;
    std::vector<std::int64_t> narrow_starts;
    LargeVector<BlockId> narrow_blocks;
    LargeVector<std::uint8_t> narrow_lanes;
    LargeVector<Impact> narrow_impacts;
    LargeVector<Impact> block_max;
    LargeVector<Group> groups;
    std::vector<std::int64_t> mask_starts;
    LargeVector<BlockMask> masks;

    [[nodiscard]] BlockIndex view() const;
};

// Weights of 0 get no posting. The same arrays for any number of threads.
// Throws std::invalid_argument where the documents are malformed (offsets, terms that are not
// strictly ascending or outside the vocabulary, weights that are negative or not finite) or more
// than largest_document_count.
[[nodiscard]] BlockIndexArrays build(const Documents& documents, std::size_t vocabulary_size,
                                     const BuildConfig& config);

// The rest of a build, for who has the lists. Order, terms, weight_starts and weights are there, the
// weights of a list in the order of its documents, which are places in the order, ascending.

// How many blocks hold a document of the list.
[[nodiscard]] std::size_t count_blocks(std::span<const DocId> documents);
// Gives the other arrays their sizes; `blocks` has that number of each list.
void make_room(BlockIndexArrays& arrays, std::span<const std::size_t> blocks);
// Fills in what a list has in them; different lists at once.
void put_list(BlockIndexArrays& arrays, std::size_t place, std::span<const DocId> documents);
// The same of a wide list whose masks are there, and which holds these blocks, ascending, as many as
// it has masks. False where the masks don't have as many documents as there are weights.
[[nodiscard]] bool put_wide_list(BlockIndexArrays& arrays, std::size_t place,
                                 std::span<const std::int32_t> blocks);

}  // namespace lsr
