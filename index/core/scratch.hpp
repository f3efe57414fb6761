// What a search by block pruning needs room for.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "block_index.hpp"
#include "kernels.hpp"
#include "query.hpp"

namespace lsr {

// Scratch space of one thread, reused from query to query.
struct Scratch {
    struct NarrowHit {
        std::uint16_t slot;
        std::uint16_t lane;
        std::uint32_t posting;  // in the term's list
    };
    std::vector<Bound> bounds;       // by block
    std::vector<Bound> chunk_max;
    std::vector<Bound> ranked;
    std::vector<BlockId> selected;
    std::vector<BlockId> pending;    // those that could still hold a result
    std::vector<BlockId> survivors;  // those looked into together
    // By narrow term and chunk: where its postings there end in its list, or 0 where it has none.
    std::vector<std::uint32_t> narrow_ends;
    std::vector<std::array<Bound, block_size>> lanes;  // by slot, as all below
    std::vector<std::uint16_t> active;
    std::vector<std::uint32_t> found;  // by wide term and slot: its mask
    std::vector<WideTerm> wide;
    std::vector<std::size_t> narrow;     // places in the query
    std::vector<float> units;            // by wide term: bound units in a weight of 1
    std::vector<std::uint32_t> place_of_term;  // by place in the query: place in either of these
    std::vector<NarrowHit> hits;
    std::vector<std::size_t> hit_ends;   // by place in `narrow`
    std::vector<Candidate> candidates;  // those scored together, by slot
    std::vector<Candidate> later;
    std::vector<std::uint32_t> chosen;  // places in `candidates`
    std::vector<std::int32_t> places;  // by wide term and candidate: its weight's
};

// Fills `wide`, `narrow`, `units` and `place_of_term`. The wide terms that lower the bounds of
// documents most come first, so that hopeless blocks are dropped early.
void lay_out(const BlockIndex& index, const PlannedQuery& query, Scratch& scratch);

}  // namespace lsr
