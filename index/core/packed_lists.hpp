// The posting lists of an index as a segment file keeps them, in few bits a posting. All else that
// a BlockIndex holds follows from these and the order of its documents.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "builder.hpp"

namespace lsr {

// Strings of bits (packed_numbers.hpp, bit_codec.hpp).
struct PackedLists {
    std::vector<std::uint8_t> terms;      // ascending
    // In Rice's code, of each term: how many documents have it, how many blocks hold one, and how
    // many bytes of `documents` and of `weights` its list takes.
    std::vector<std::uint8_t> lengths;
    // Of each narrow list the documents, of each wide one the blocks; ascending.
    std::vector<std::uint8_t> documents;
    std::vector<std::uint8_t> weights;  // of each list
    std::vector<BlockMask> masks;       // of the wide lists
};

[[nodiscard]] PackedLists pack_lists(const BlockIndex& index);

}  // namespace lsr
