#include "validate.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>

namespace lsr {
namespace {

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(std::string("the index is malformed: ") + what);
}

bool spans_all(std::span<const std::int64_t> starts, std::size_t lists, std::size_t entries) {
    return starts.size() == lists + 1 && starts.front() == 0 &&
           starts.back() == static_cast<std::int64_t>(entries) &&
           std::is_sorted(starts.begin(), starts.end());
}

}  // namespace

void validate_shape(const BlockIndex& index) {
    const auto terms = index.terms.size();
    require(index.document_count() <= largest_document_count, "the number of documents");
    require(index.steps.size() == terms && index.rows.size() == terms &&
                std::adjacent_find(index.terms.begin(), index.terms.end(),
                                   std::greater_equal<>{}) == index.terms.end() &&
                (terms == 0 || index.terms.front() >= 0),
            "its terms");
    require(spans_all(index.weight_starts, terms, index.weights.size()), "the weights");
    require(spans_all(index.narrow_starts, terms, index.narrow_blocks.size()) &&
                index.narrow_lanes.size() == index.narrow_blocks.size() &&
                index.narrow_impacts.size() == index.narrow_blocks.size(),
            "the narrow lists");
    require(index.masks.size() >= group_size && !index.mask_starts.empty(), "the masks");
    const auto row_count = index.mask_starts.size() - 1;
    require(spans_all(index.mask_starts, row_count, index.masks.size() - group_size), "the masks");
    require(index.block_max.size() == row_count * index.row_stride() &&
                index.groups.size() == row_count * index.group_count(),
            "the rows");
    std::int32_t next = 0;
    for (std::size_t term = 0; term < terms; ++term) {
        const bool wide = index.rows[term] >= 0;
        require(!wide || index.rows[term] == next, "the order of rows");
        require(!wide || index.narrow_starts[term] == index.narrow_starts[term + 1],
                "a list that is both wide and narrow");
        require(std::isfinite(index.steps[term]) && index.steps[term] > 0, "a step");
        next += wide ? 1 : 0;
    }
    require(static_cast<std::size_t>(next) == row_count, "the number of rows");
}

bool all_finite(std::span<const float> values) noexcept {
    constexpr std::uint32_t exponent = 0x7F80'0000;
    bool finite = true;
    for (const auto value : values) {
        finite &= (std::bit_cast<std::uint32_t>(value) & exponent) != exponent;
    }
    return finite;
}

}  // namespace lsr
