// Exhaustive term-at-a-time scoring in windows of documents that fit the cache.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "types.hpp"

namespace lsr {

// Throws std::invalid_argument unless the lists are well formed: offsets from 0 to the number of
// postings, never falling; documents strictly ascending within a list and below document_count;
// weights finite and not negative.
void validate(const PostingLists& lists);

// The k documents of highest inner product above 0, best first, ties by document ascending.
// `alive` has a non-zero byte for each document that may be returned, or is empty: all may.
// Each score is the float32 sum of float32 products in ascending term order.
[[nodiscard]] std::vector<ScoredDocument> exhaustive_top_k(const PostingLists& lists,
                                                           const SparseQuery& query,
                                                           std::size_t k,
                                                           std::span<const std::uint8_t> alive);

}  // namespace lsr
