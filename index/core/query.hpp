// A query against one index: its terms found there, and the integer scale of its bounds.
#pragma once

#include <cstddef>
#include <vector>

#include "block_index.hpp"
#include "kernels.hpp"

namespace lsr {

struct QueryTerm {
    std::size_t place;       // in BlockIndex::terms
    float weight;
    double ceiling;          // no document gets a larger part of its score from this term
    std::int32_t row;        // of a wide list; -1: narrow
    std::uint16_t scaled;    // weight times step, in units of 1/256 of a bound's unit, rounded up
};

// Terms ascending; those of weight 0 and those the index lacks are left out.
struct PlannedQuery {
    std::vector<QueryTerm> terms;
    std::size_t postings = 0;  // in all lists together
    double ceiling = 0;        // no document scores higher
    double scale = 0;          // bound units in a score of 1

    PlannedQuery(const BlockIndex& index, const SparseQuery& query);

    // Each term's part of a bound is rounded down by less than one unit.
    [[nodiscard]] double slack() const noexcept { return static_cast<double>(terms.size()); }

    // Whether integer bounds are fine enough: not for queries of many thousand terms.
    [[nodiscard]] bool bounded() const noexcept { return scale > 0; }

    // A document whose bound is below this scores less than `score`, rounding errors of the
    // float32 score included. Below 1 where bounds can't tell.
    [[nodiscard]] double least_bound(Score score) const noexcept;

    // No document with this bound scores higher.
    [[nodiscard]] double score_within(double bound) const noexcept;
};

}  // namespace lsr
