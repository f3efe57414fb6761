#include "validate.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

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

std::size_t at(std::span<const std::int64_t> starts, std::size_t place) {
    return static_cast<std::size_t>(starts[place]);
}

bool bounded_by(HalfWeight weight, float step, Impact impact) {
    return weight.bits > 0 && weight.bits < 0x7C00 &&
           static_cast<double>(weight.value()) <=
               static_cast<double>(step) * static_cast<double>(impact);
}

void validate_narrow(const BlockIndex& index, std::size_t term) {
    const auto weights = at(index.weight_starts, term);
    const auto begin = at(index.narrow_starts, term);
    const auto end = at(index.narrow_starts, term + 1);
    require(end - begin == at(index.weight_starts, term + 1) - weights, "a narrow list's length");
    Impact maximum = 0;
    for (auto p = begin; p < end; ++p) {
        const bool first = p == begin || index.narrow_blocks[p] != index.narrow_blocks[p - 1];
        require(index.narrow_lanes[p] < block_size &&
                    static_cast<std::size_t>(index.narrow_blocks[p]) * block_size +
                            index.narrow_lanes[p] < index.document_count(),
                "a posting's document");
        if (first) {
            require(p == begin || index.narrow_blocks[p] > index.narrow_blocks[p - 1],
                    "the order of postings");
            maximum = index.narrow_impacts[p];
        } else {
            require(index.narrow_lanes[p] > index.narrow_lanes[p - 1] &&
                        index.narrow_impacts[p] == 0,
                    "postings of one block");
        }
        require(bounded_by(index.weights[weights + p - begin], index.steps[term], maximum),
                "a bound");
    }
}

void validate_wide(const BlockIndex& index, std::size_t term) {
    const auto row = static_cast<std::size_t>(index.rows[term]);
    const auto* impacts = index.block_max.data() + row * index.row_stride();
    const auto* groups = index.groups.data() + row * index.group_count();
    const auto first_mask = at(index.mask_starts, row);
    const auto mask_end = at(index.mask_starts, row + 1);
    const auto weights = at(index.weight_starts, term);
    const auto postings = at(index.weight_starts, term + 1) - weights;
    std::size_t mask = 0;
    std::size_t posting = 0;
    for (std::size_t block = 0; block < index.row_stride(); ++block) {
        if (block % group_size == 0) {
            const auto& group = groups[block / group_size];
            require(group.mask == mask && group.weight == posting, "a group's place");
        }
        if (impacts[block] == 0) continue;
        require(first_mask + mask < mask_end && block < index.block_count(), "a row's masks");
        const auto documents = index.masks[first_mask + mask++];
        require(documents != 0, "a mask");
        const auto last =
            block * block_size + static_cast<std::size_t>(std::bit_width(documents)) - 1;
        require(last < index.document_count(), "a mask's documents");
        const auto count = static_cast<std::size_t>(std::popcount(documents));
        require(posting + count <= postings, "a wide list's length");
        for (std::size_t i = 0; i < count; ++i) {
            require(bounded_by(index.weights[weights + posting + i], index.steps[term],
                               impacts[block]),
                    "a bound");
        }
        posting += count;
    }
    require(first_mask + mask == mask_end && posting == postings, "a wide list's length");
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

void validate(const BlockIndex& index) {
    validate_shape(index);
    std::vector<bool> seen(index.document_count());
    for (const auto ordinal : index.order) {
        require(ordinal < seen.size() && !seen[ordinal], "the document order");
        seen[ordinal] = true;
    }
    for (std::size_t term = 0; term < index.terms.size(); ++term) {
        if (index.rows[term] < 0) {
            validate_narrow(index, term);
        } else {
            validate_wide(index, term);
        }
    }
}

}  // namespace lsr
