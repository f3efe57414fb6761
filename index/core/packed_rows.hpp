// Sparse vectors as the store keeps them: two strings of bytes a row (packed_numbers.hpp), of few
// bits a term.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lsr {

// A row's bytes are those from its start to the next one's.
struct PackedRows {
    std::vector<std::uint8_t> terms, weights;
    std::vector<std::int64_t> term_starts, weight_starts;  // a number more than rows
};

struct UnpackedRows {
    std::vector<std::int64_t> starts;  // a number more than rows
    std::vector<std::int32_t> terms;
    std::vector<std::uint16_t> weights;
};

// Row r has the places starts[r] to starts[r + 1]. Terms are not negative and strictly ascending
// within a row. Raises std::invalid_argument where that is not so.
[[nodiscard]] PackedRows pack_rows(std::span<const std::int64_t> starts,
                                   std::span<const std::int32_t> terms,
                                   std::span<const std::uint16_t> weights);

// What pack_rows was given. The bytes may be anyone's: raises std::invalid_argument where they are
// malformed, and never takes them for more than 8 terms a byte.
[[nodiscard]] UnpackedRows unpack_rows(std::span<const std::uint8_t> terms,
                                       std::span<const std::int64_t> term_starts,
                                       std::span<const std::uint8_t> weights,
                                       std::span<const std::int64_t> weight_starts);

}  // namespace lsr
