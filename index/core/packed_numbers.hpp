// Two strings of bytes for numbers that go together: ascending ones, and their weights.
//
// Bits stand from the lowest of each byte on, and what a string's last byte has left is 0. Of no
// numbers both strings are empty. Of others, the ascending numbers, terms or documents, are
//   5 bits w, w bits: how many (w is at least 1)
//   the gaps between them, and before the first, in Rice's code (bit_codec.hpp)
// and the weights, float16 taken as whole numbers of 16 bits, are one part, or two where that is
// shorter, as where model weights are followed by counts. A part is
//   16 bits: the least of them; 4 bits s; 5 bits w, at most 16
//   of each, w bits: how much it is above the least, >> s
// and before two parts stand 16 bits: how many are in the first; 4 bits 0; 5 bits 31.
//
// The bytes may be anyone's: what reads them says false where they are malformed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lsr {

// Appends the string. Raises std::invalid_argument unless they are strictly ascending from 0 on.
void pack_ascending(std::span<const std::int32_t> numbers, std::vector<std::uint8_t>& bytes);
void pack_weights(std::span<const std::uint16_t> weights, std::vector<std::uint8_t>& bytes);

// How many there are, by the first string; never more than 8 a byte.
[[nodiscard]] bool unpack_count(std::span<const std::uint8_t> bytes, std::size_t& count);
// As many as that; the first string is read once more.
[[nodiscard]] bool unpack_ascending(std::span<const std::uint8_t> bytes,
                                    std::span<std::int32_t> numbers);
[[nodiscard]] bool unpack_weights(std::span<const std::uint8_t> bytes,
                                  std::span<std::uint16_t> weights);

}  // namespace lsr
