#include "scratch.hpp"

#include <algorithm>

namespace lsr {
namespace {

// How much lower a wide term makes the bounds of a block's documents: its ceiling, for the share of
// documents that lack it in the blocks that hold it.
double separation(const BlockIndex& index, const QueryTerm& term) {
    const auto row = static_cast<std::size_t>(term.row);
    const auto documents = static_cast<double>(
        (index.mask_starts[row + 1] - index.mask_starts[row]) * std::int64_t{block_size});
    const auto postings = static_cast<double>(index.weight_starts[term.place + 1] -
                                              index.weight_starts[term.place]);
    return term.ceiling * (1 - postings / documents);
}

}  // namespace

void lay_out(const BlockIndex& index, const PlannedQuery& query, Scratch& scratch) {
    const auto count = query.terms.size();
    scratch.wide.clear();
    scratch.narrow.clear();
    scratch.units.clear();
    scratch.place_of_term.resize(count);
    std::vector<std::size_t> wide;
    for (std::size_t t = 0; t < count; ++t) {
        if (query.terms[t].row >= 0) {
            wide.push_back(t);
        } else {
            scratch.place_of_term[t] = static_cast<std::uint32_t>(scratch.narrow.size());
            scratch.narrow.push_back(t);
        }
    }
    std::sort(wide.begin(), wide.end(), [&](auto a, auto b) {
        return separation(index, query.terms[a]) > separation(index, query.terms[b]);
    });
    for (const auto t : wide) {
        const auto& term = query.terms[t];
        const auto row = static_cast<std::size_t>(term.row);
        scratch.place_of_term[t] = static_cast<std::uint32_t>(scratch.wide.size());
        scratch.wide.push_back({index.block_max.data() + row * index.row_stride(),
                                index.groups.data() + row * index.group_count(),
                                index.masks.data() + index.mask_starts[row],
                                index.weights.data() + index.weight_starts[term.place],
                                term.scaled});
        scratch.units.push_back(static_cast<float>(term.weight * query.scale));
    }
}

}  // namespace lsr
