// Exhaustive term-at-a-time scoring in windows of documents that fit the cache.
#pragma once

#include <span>

#include "block_index.hpp"
#include "query.hpp"
#include "topk.hpp"

namespace lsr {

// Pushes every document that shares a term with the query, under its ordinal. `allowed` has a mask
// for each block of the documents that may be returned, or is empty: all may. Each score is the
// float32 sum of float32 products in ascending term order.
void score_all(const BlockIndex& index, const PlannedQuery& query,
               std::span<const BlockMask> allowed, TopK& top);

}  // namespace lsr
