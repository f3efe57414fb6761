#include "query.hpp"

#include <algorithm>
#include <cmath>

#include "list_unpacker.hpp"

namespace lsr {
namespace {

constexpr double largest_bound = 65535;
constexpr double part_units = 256;
constexpr std::size_t most_bounded_terms = 8192;

// Above the relative error of a float32 sum of `terms` rounded products, and of as many parts of a
// bound that are computed in float32.
double rounding(std::size_t terms) { return static_cast<double>(terms + 2) * 0x1p-21; }

}  // namespace

PlannedQuery::PlannedQuery(const BlockIndex& index, const SparseQuery& query) {
    terms.reserve(query.terms.size());
    double largest = 0;
    auto from = index.terms.begin();
    for (std::size_t i = 0; i < query.terms.size(); ++i) {
        if (!(query.weights[i] > 0)) continue;
        from = std::lower_bound(from, index.terms.end(), query.terms[i]);
        if (from == index.terms.end()) break;
        if (*from != query.terms[i]) continue;
        const auto place = static_cast<std::size_t>(from - index.terms.begin());
        if (index.unpacker != nullptr) index.unpacker->need(place);
        const auto weight = static_cast<double>(query.weights[i]);
        const auto unit = weight * static_cast<double>(index.steps[place]);
        const auto most = unit * static_cast<double>(largest_impact);
        terms.push_back({place, query.weights[i], most, index.rows[place], 0});
        postings += static_cast<std::size_t>(index.weight_starts[place + 1] -
                                             index.weight_starts[place]);
        ceiling += most;
        largest = std::max(largest, unit);
    }
    // The sum of all parts is at most scale * ceiling + terms <= 65535, so bounds don't overflow.
    if (terms.empty() || terms.size() > most_bounded_terms) return;
    scale = std::min((largest_bound - 2 * slack()) / ceiling,
                     (largest_bound - 1) / (part_units * largest));
    if (!std::isfinite(scale)) {
        scale = 0;
        return;
    }
    for (auto& term : terms) {
        const auto unit = term.ceiling / static_cast<double>(largest_impact);
        term.scaled = static_cast<std::uint16_t>(std::ceil(unit * part_units * scale));
    }
}

double PlannedQuery::least_bound(Score score) const noexcept {
    const auto real = static_cast<double>(score) * (1 - rounding(terms.size()));
    return std::floor(real * scale - slack());
}

double PlannedQuery::score_within(double bound) const noexcept {
    return (bound + slack()) / scale * (1 + rounding(terms.size()));
}

}  // namespace lsr
