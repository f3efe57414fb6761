// The inverted index of one segment: spans over arrays that the caller owns.
//
// Documents stand in an order of their own (`order`), in blocks of 16. A term that occurs in many
// blocks has a wide list: a row with the maximum of each block, for bounds, and for each block
// that holds the term a mask of its documents. The postings of any other term are a narrow list.
// Weights of both kinds stand in one array, term by term in document order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "types.hpp"

namespace lsr {

using Impact = std::uint8_t;     // a weight in steps of its term, rounded up
using BlockId = std::uint16_t;
using BlockMask = std::uint16_t;  // bit i: document i of the block

constexpr DocId block_size = 16;
constexpr BlockMask whole_block = 0xFFFF;
constexpr std::size_t largest_block_count = std::size_t{1} << 16;
constexpr std::size_t largest_document_count = largest_block_count * block_size;
// Blocks whose masks and weights are found from one entry of `groups`.
constexpr std::size_t group_size = 32;
// Rows have a multiple of so many blocks, and `masks` as many entries more than are used as a group
// has blocks, so that kernels read whole vectors.
constexpr std::size_t row_unit = 64;
constexpr std::size_t largest_impact = 255;

// The documents that may be returned: a mask for each block, or none where all may.
struct Allowed {
    std::span<const BlockMask> masks;

    [[nodiscard]] bool all() const noexcept { return masks.empty(); }
    [[nodiscard]] BlockMask in(std::size_t block) const noexcept {
        return all() ? whole_block : masks[block];
    }
};

struct Group {
    std::uint32_t mask;    // place of its first mask in the list
    std::uint32_t weight;  // place of its first weight in the list
};

class ListUnpacker;

struct BlockIndex {
    std::span<const DocId> order;           // (documents) ordinal of each document
    std::span<const TermId> terms;          // (terms) ascending
    std::span<const float> steps;           // (terms) what one unit of impact stands for
    std::span<const std::int64_t> weight_starts;  // (terms + 1)
    std::span<const HalfWeight> weights;    // (postings)
    std::span<const std::int32_t> rows;     // (terms) row of a wide list; -1: narrow
    std::span<const std::int64_t> narrow_starts;  // (terms + 1); a wide list has none
    std::span<const BlockId> narrow_blocks;
    std::span<const std::uint8_t> narrow_lanes;   // document within its block
    std::span<const Impact> narrow_impacts;  // the block's maximum at its first posting, else 0
    std::span<const Impact> block_max;      // (rows, row_stride())
    std::span<const Group> groups;          // (rows, group_count())
    std::span<const std::int64_t> mask_starts;    // (rows + 1)
    std::span<const BlockMask> masks;       // (masks + group_size)
    // Who reads a list, or its step, asks here for it first; nullptr: all are there.
    ListUnpacker* unpacker = nullptr;

    [[nodiscard]] std::size_t document_count() const noexcept { return order.size(); }
    [[nodiscard]] std::size_t block_count() const noexcept {
        return (order.size() + block_size - 1) / block_size;
    }
    [[nodiscard]] std::size_t row_stride() const noexcept {
        return (block_count() + row_unit - 1) / row_unit * row_unit;
    }
    [[nodiscard]] std::size_t group_count() const noexcept { return row_stride() / group_size; }
};

}  // namespace lsr
