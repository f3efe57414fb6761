// Exhaustive term-at-a-time scoring in windows of documents that fit the cache.
#pragma once

#include "block_index.hpp"
#include "query.hpp"
#include "topk.hpp"

namespace lsr {

// Pushes every allowed document that shares a term with the query, under its ordinal and `first`
// more. Each score is the float32 sum of float32 products in ascending term order.
void score_all(const BlockIndex& index, const PlannedQuery& query, const Allowed& allowed,
               DocId first, TopK& top);

}  // namespace lsr
