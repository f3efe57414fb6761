// Checksums of sections of a segment file.
#pragma once

#include <cstdint>
#include <span>

namespace lsr {

// CRC-32C (Castagnoli) of each quarter of the bytes, and then of these four numbers, little-endian:
// four independent streams are checked as fast as memory is read. Quarters are of size / 4 bytes,
// rounded down to a multiple of 8; the last has the rest.
[[nodiscard]] std::uint32_t checksum(std::span<const std::uint8_t> bytes) noexcept;

// The same without the machine's CRC instruction.
[[nodiscard]] std::uint32_t checksum_by_table(std::span<const std::uint8_t> bytes) noexcept;

}  // namespace lsr
