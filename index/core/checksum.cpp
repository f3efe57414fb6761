#include "checksum.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lsr {
namespace {

constexpr std::size_t streams = 4;
constexpr std::uint32_t polynomial = 0x82F63B78;  // Castagnoli, reflected

constexpr auto table = [] {
    std::array<std::uint32_t, 256> entries{};
    for (std::uint32_t byte = 0; byte < entries.size(); ++byte) {
        auto crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? polynomial : 0);
        entries[byte] = crc;
    }
    return entries;
}();

std::uint32_t add_by_table(std::uint32_t crc, const std::uint8_t* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) crc = (crc >> 8) ^ table[(crc ^ bytes[i]) & 0xFFU];
    return crc;
}

std::uint32_t combine(const std::array<std::uint32_t, streams>& parts) {
    std::array<std::uint8_t, 4 * streams> bytes{};
    for (std::size_t s = 0; s < streams; ++s) {
        for (std::size_t i = 0; i < 4; ++i) {
            bytes[4 * s + i] = static_cast<std::uint8_t>(~parts[s] >> (8 * i));
        }
    }
    return ~add_by_table(~0U, bytes.data(), bytes.size());
}

std::size_t quarter_of(std::size_t size) { return size / streams / 8 * 8; }

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t checksum_by_instruction(
    std::span<const std::uint8_t> bytes) {
    const auto quarter = quarter_of(bytes.size());
    std::array<std::uint64_t, streams> crcs{0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF};
    for (std::size_t at = 0; at < quarter; at += 8) {
        for (std::size_t s = 0; s < streams; ++s) {
            std::uint64_t word;
            std::memcpy(&word, bytes.data() + s * quarter + at, sizeof word);
            crcs[s] = _mm_crc32_u64(crcs[s], word);
        }
    }
    std::array<std::uint32_t, streams> parts{};
    for (std::size_t s = 0; s < streams; ++s) parts[s] = static_cast<std::uint32_t>(crcs[s]);
    const auto rest = bytes.subspan(streams * quarter);
    parts[streams - 1] = add_by_table(parts[streams - 1], rest.data(), rest.size());
    return combine(parts);
}
#endif

}  // namespace

std::uint32_t checksum_by_table(std::span<const std::uint8_t> bytes) noexcept {
    const auto quarter = quarter_of(bytes.size());
    std::array<std::uint32_t, streams> parts{};
    for (std::size_t s = 0; s < streams; ++s) {
        const auto size = s + 1 < streams ? quarter : bytes.size() - s * quarter;
        parts[s] = add_by_table(~0U, bytes.data() + s * quarter, size);
    }
    return combine(parts);
}

std::uint32_t checksum(std::span<const std::uint8_t> bytes) noexcept {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2") != 0) return checksum_by_instruction(bytes);
#endif
    return checksum_by_table(bytes);
}

}  // namespace lsr
