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

// Where the lists of an index are put: the arrays of a BlockIndex that have the same names.
struct ListRoom {
    std::span<float> steps;
    std::span<HalfWeight> weights;
    std::span<BlockId> narrow_blocks;
    std::span<std::uint8_t> narrow_lanes;
    std::span<Impact> narrow_impacts;
    std::span<Impact> block_max;
    std::span<Group> groups;
    std::span<BlockMask> masks;
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
    [[nodiscard]] ListRoom room();
};

// Weights of 0 get no posting. The same arrays for any number of threads.
// Throws std::invalid_argument where the documents are malformed (offsets, terms that are not
// strictly ascending or outside the vocabulary, weights that are negative or not finite) or more
// than largest_document_count.
[[nodiscard]] BlockIndexArrays build(const Documents& documents, std::size_t vocabulary_size,
                                     const BuildConfig& config);

// The rest of a build, for who has the lists.

// How many blocks hold a document of the list.
[[nodiscard]] std::size_t count_blocks(std::span<const DocId> documents);

// The arrays of a BlockIndex that have these names.
struct ListPlaces {
    std::vector<std::int32_t> rows;
    std::vector<std::int64_t> narrow_starts, mask_starts;
};

// Tells wide lists from narrow ones; `blocks` has their number of each list.
[[nodiscard]] ListPlaces place_lists(std::span<const std::int64_t> weight_starts,
                                     std::span<const std::size_t> blocks, std::size_t row_stride);

// Puts a list into room that is all zeros but for its weights, which stand there in the order of its
// documents; these are places in the index's order, ascending. Different lists at once. Of the index,
// what is not in the room is there.
void put_list(const BlockIndex& index, const ListRoom& room, std::size_t place,
              std::span<const DocId> documents);
// The same of a wide list whose masks are there too, and which holds these blocks, ascending, as many
// as it has masks. False where the masks don't have as many documents as there are weights.
[[nodiscard]] bool put_wide_list(const BlockIndex& index, const ListRoom& room, std::size_t place,
                                 std::span<const std::int32_t> blocks);

}  // namespace lsr
