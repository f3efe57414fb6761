#include "validate.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "parallel.hpp"

namespace lsr {
namespace {

constexpr std::uint16_t infinity_bits = 0x7C00;  // of a half; larger bits: NaN or negative

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

bool positive_and_finite(HalfWeight weight) {
    return static_cast<std::uint16_t>(weight.bits - 1) < infinity_bits - 1;
}

bool bounded_by(HalfWeight weight, float step, Impact impact) {
    return static_cast<double>(weight.value()) <=
           static_cast<double>(step) * static_cast<double>(impact);
}

// Faults are gathered, not thrown, posting by posting: the loop has no branches then.
void validate_narrow(const BlockIndex& index, std::size_t term) {
    const auto begin = at(index.narrow_starts, term);
    const auto count = at(index.narrow_starts, term + 1) - begin;
    const auto first_weight = at(index.weight_starts, term);
    require(count == at(index.weight_starts, term + 1) - first_weight, "a narrow list's length");
    const auto* blocks = index.narrow_blocks.data() + begin;
    const auto* lanes = index.narrow_lanes.data() + begin;
    const auto* impacts = index.narrow_impacts.data() + begin;
    const auto* weights = index.weights.data() + first_weight;
    const auto step = index.steps[term];
    const auto documents = static_cast<std::int64_t>(index.document_count());
    std::int64_t previous = -1;
    std::int64_t block = -1;
    Impact maximum = 0;
    bool outside = false;
    bool disordered = false;
    bool unbounded = false;
    for (std::size_t p = 0; p < count; ++p) {
        const bool inner = blocks[p] == block;
        block = blocks[p];
        const auto document = block * std::int64_t{block_size} + lanes[p];
        outside |= (lanes[p] >= block_size) | (document >= documents);
        disordered |= document <= previous;
        previous = document;
        // A block's first posting alone has an impact, which is that of the others too.
        maximum = static_cast<Impact>(impacts[p] | (inner ? maximum : 0));
        disordered |= inner & (impacts[p] != 0);
        unbounded |= !positive_and_finite(weights[p]) | !bounded_by(weights[p], step, maximum);
    }
    require(!outside, "a posting's document");
    require(!disordered, "the order of postings");
    require(!unbounded, "a bound");
}

// A bit for each impact of a group that is not zero.
std::uint32_t occupied(const Impact* impacts) {
    constexpr std::uint64_t low_bits = 0x7F7F'7F7F'7F7F'7F7F;
    std::uint32_t bits = 0;
    for (std::size_t part = 0; part < group_size / 8; ++part) {
        std::uint64_t bytes = 0;
        for (std::size_t i = 0; i < 8; ++i) {
            bytes |= static_cast<std::uint64_t>(impacts[part * 8 + i]) << (8 * i);
        }
        const auto top = (((bytes & low_bits) + low_bits) | bytes) & ~low_bits;
        // Gathers the top bits of the bytes, now the lowest ones, in the highest byte.
        bits |= static_cast<std::uint32_t>((top >> 7) * 0x0102'0408'1020'4080 >> 56) << (8 * part);
    }
    return bits;
}

// As std::popcount, which is a call where the compiler may not assume the instruction.
std::size_t ones(BlockMask mask) {
    std::uint32_t bits = mask;
    bits -= bits >> 1 & 0x5555U;
    bits = (bits & 0x3333U) + (bits >> 2 & 0x3333U);
    bits = (bits + (bits >> 4)) & 0x0F0FU;
    return (bits + (bits >> 8)) & 0x1FU;
}

// Bits of the largest finite weight that step * impact bounds. Bits of weights are in their order.
std::uint16_t largest_bits(float step, Impact impact) {
    const auto bound = static_cast<double>(step) * static_cast<double>(impact);
    const auto scaled = static_cast<float>(std::min(bound, 65504.0) * 0x1p-112);
    auto bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(scaled) >> 13);
    // Where the cast rounded up.
    bits = static_cast<std::uint16_t>(bits - (bits > 0 && HalfWeight{bits}.value() > bound));
    return bits;
}

// How many of these weights are not above 0, or have larger bits; `readable` of them may be read.
std::size_t beyond(const HalfWeight* weights, std::size_t count, std::size_t readable,
                   std::uint16_t largest) {
    constexpr std::size_t few = 4;
    const auto is_beyond = [&](std::size_t i) {
        return static_cast<std::size_t>(static_cast<std::uint16_t>(weights[i].bits - 1) >= largest);
    };
    std::size_t found = 0;
    std::size_t i = 0;
    // Mostly there are few: counting them without a branch for each is faster.
    if (readable >= few) {
        for (; i < few; ++i) found += is_beyond(i) & static_cast<std::size_t>(i < count);
    }
    for (; i < count; ++i) found += is_beyond(i);
    return found;
}

void validate_wide(const BlockIndex& index, std::size_t term) {
    const auto row = static_cast<std::size_t>(index.rows[term]);
    const auto* impacts = index.block_max.data() + row * index.row_stride();
    const auto* groups = index.groups.data() + row * index.group_count();
    const auto first_mask = at(index.mask_starts, row);
    const auto mask_count = at(index.mask_starts, row + 1) - first_mask;
    const auto first_weight = at(index.weight_starts, term);
    const auto postings = at(index.weight_starts, term + 1) - first_weight;
    const auto* masks = index.masks.data() + first_mask;
    const auto* weights = index.weights.data() + first_weight;
    const auto readable = index.weights.size() - first_weight;
    const auto step = index.steps[term];
    std::size_t mask = 0;
    std::size_t posting = 0;
    for (std::size_t g = 0; g < index.group_count(); ++g) {
        require(groups[g].mask == mask && groups[g].weight == posting, "a group's place");
        for (auto held = occupied(impacts + g * group_size); held != 0; held &= held - 1) {
            const auto block = g * group_size + static_cast<std::size_t>(std::countr_zero(held));
            require(mask < mask_count && block < index.block_count(), "a row's masks");
            const auto documents = masks[mask++];
            const auto count = ones(documents);
            require(count > 0 && count <= postings - posting, "a mask");
            require(beyond(weights + posting, count, readable - posting,
                           largest_bits(step, impacts[block])) == 0,
                    "a bound");
            posting += count;
            const auto left = index.document_count() - block * block_size;
            require(left >= block_size || documents >> left == 0, "a mask's documents");
        }
    }
    require(mask == mask_count && posting == postings, "a wide list's length");
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

void validate(const BlockIndex& index, std::size_t vocabulary_size, unsigned threads) {
    validate_shape(index);
    require(index.terms.empty() ||
                static_cast<std::size_t>(index.terms.back()) < vocabulary_size,
            "a term beyond the vocabulary");
    std::vector<bool> seen(index.document_count());
    for (const auto ordinal : index.order) {
        require(ordinal < seen.size() && !seen[ordinal], "the document order");
        seen[ordinal] = true;
    }
    // Frequent terms may stand together: threads take few at a time.
    constexpr std::size_t at_a_time = 64;
    std::atomic<std::size_t> next{0};
    in_parallel(threads, threads, [&](std::size_t, std::size_t) {
        for (auto begin = next.fetch_add(at_a_time); begin < index.terms.size();
             begin = next.fetch_add(at_a_time)) {
            const auto end = std::min(begin + at_a_time, index.terms.size());
            for (auto term = begin; term < end; ++term) {
                if (index.rows[term] < 0) {
                    validate_narrow(index, term);
                } else {
                    validate_wide(index, term);
                }
            }
        }
    });
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
