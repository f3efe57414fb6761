// Strings of bits: written from the lowest bit of each byte on, and read as anyone's.
//
// Numbers that are small more often than not stand in groups of 32, in Rice's code: 5 bits k, then
// of each number g >> k zeros, a one, and its k low bits.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

namespace lsr {

static_assert(std::endian::native == std::endian::little);

class BitWriter {
public:
    explicit BitWriter(std::vector<std::uint8_t>& bytes) : bytes_(bytes) {}

    // At most 32 bits.
    void write(std::uint64_t value, unsigned bits) {
        held_ |= value << count_;
        count_ += bits;
        if (count_ >= 32) {
            put(4);
            held_ >>= 32;
            count_ -= 32;
        }
    }

    void write_zeros(std::uint64_t zeros) {
        for (; zeros > 32; zeros -= 32) write(0, 32);
        write(0, static_cast<unsigned>(zeros));
    }

    void finish() { put((count_ + 7) / 8); }

private:
    void put(std::size_t count) {
        // Of no bytes there may be no address to copy to.
        if (count == 0) return;
        const auto end = bytes_.size();
        bytes_.resize(end + count);
        std::memcpy(bytes_.data() + end, &held_, count);
    }

    std::vector<std::uint8_t>& bytes_;
    std::uint64_t held_ = 0;
    unsigned count_ = 0;
};

// What is read beyond the end is false, and reads as malformed.
class BitReader {
public:
    explicit BitReader(std::span<const std::uint8_t> bytes)
        : bytes_(bytes), end_(bytes.size() * 8) {}

    // At most 32 bits.
    [[nodiscard]] bool read(unsigned bits, std::uint64_t& value) {
        value = window() & ((std::uint64_t{1} << bits) - 1);
        at_ += bits;
        return at_ <= end_;
    }

    // Zeros up to a one.
    [[nodiscard]] bool read_zeros(std::uint64_t& zeros) {
        zeros = 0;
        while (at_ < end_) {
            const auto next = window();
            if (next != 0) {
                const auto found = static_cast<unsigned>(std::countr_zero(next));
                zeros += found;
                at_ += found + 1;
                return true;
            }
            zeros += window_bits;
            at_ += window_bits;
        }
        return false;
    }

    // So many numbers in Rice's code of one k, at most 31; `visit` takes each. False too where one is
    // above `largest`, or a visit gives false.
    template <typename Visit>
    [[nodiscard]] bool read_rice(std::size_t count, unsigned k, std::uint64_t largest,
                                 const Visit& visit) {
        const auto mask = (std::uint64_t{1} << k) - 1;
        std::uint64_t next = 0;
        std::size_t left = 0;  // bits of `next`, which is what follows
        for (; count > 0; --count) {
            auto zeros = static_cast<unsigned>(std::countr_zero(next));
            if (zeros + 1 + k > left) {
                next = window();
                left = window_bits;
                zeros = static_cast<unsigned>(std::countr_zero(next));
            }
            std::uint64_t number = 0;
            if (zeros + 1 + k <= left) {
                const auto used = zeros + 1 + k;
                number = std::uint64_t{zeros} << k | ((next >> zeros >> 1) & mask);
                next >>= used;
                left -= used;
                at_ += used;
            } else {
                std::uint64_t high = 0, low = 0;
                if (!read_zeros(high) || !read(k, low) || high > largest >> k) return false;
                number = high << k | low;
                next = 0;
                left = 0;
            }
            if (number > largest || !visit(number)) return false;
        }
        return at_ <= end_;
    }

    // As many numbers as there is room for, each of so many bits, at most 16; `put` takes each.
    template <typename Put>
    [[nodiscard]] bool read_all(std::size_t count, unsigned bits, const Put& put) {
        const auto mask = (std::uint64_t{1} << bits) - 1;
        for (; count >= 3; count -= 3) {
            const auto next = window();
            put(next & mask);
            put((next >> bits) & mask);
            put((next >> (2 * bits)) & mask);
            at_ += std::size_t{3} * bits;
        }
        for (; count > 0; --count) {
            put(window() & mask);
            at_ += bits;
        }
        return at_ <= end_;
    }

    // Whether nothing is left but the zeros that fill the last byte.
    [[nodiscard]] bool is_done() const {
        return at_ <= end_ && end_ - at_ < 8 && window() == 0;
    }

private:
    static constexpr std::size_t window_bits = 57;

    // At least window_bits from here on; zeros beyond the end.
    [[nodiscard]] std::uint64_t window() const {
        const auto byte = at_ / 8;
        std::uint64_t found = 0;
        if (byte + 8 <= bytes_.size()) {
            std::memcpy(&found, bytes_.data() + byte, 8);
        } else if (byte < bytes_.size()) {
            std::memcpy(&found, bytes_.data() + byte, bytes_.size() - byte);
        }
        return (found >> (at_ % 8)) & ((std::uint64_t{1} << window_bits) - 1);
    }

    std::span<const std::uint8_t> bytes_;
    std::size_t end_, at_ = 0;
};

// The width of k, and how many numbers share one.
constexpr unsigned rice_bits = 5;
constexpr std::size_t rice_group = 32;

// The number of low bits that makes a group shortest, near that of its mean.
inline unsigned low_bits(std::span<const std::uint64_t> group) {
    std::uint64_t sum = 0;
    for (const auto gap : group) sum += gap;
    const auto middle = static_cast<unsigned>(std::bit_width(sum / group.size()));
    unsigned best = middle;
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    for (auto k = middle - std::min(middle, 2U); k <= std::min(middle, 31U); ++k) {
        std::uint64_t bits = group.size() * k;
        for (const auto gap : group) bits += gap >> k;
        if (bits < least) {
            least = bits;
            best = k;
        }
    }
    return best;
}

// Of numbers below 2^32.
inline void write_rice(BitWriter& writer, std::span<const std::uint64_t> numbers) {
    while (!numbers.empty()) {
        const auto group = numbers.first(std::min(rice_group, numbers.size()));
        numbers = numbers.subspan(group.size());
        const auto k = low_bits(group);
        writer.write(k, rice_bits);
        for (const auto number : group) {
            writer.write_zeros(number >> k);
            writer.write(1, 1);
            writer.write(number & ((std::uint64_t{1} << k) - 1), k);
        }
    }
}

// Visits `count` numbers of at most `largest` in turn; false where they are malformed or a visit
// gives false.
template <typename Visit>
[[nodiscard]] bool read_rice(BitReader& reader, std::size_t count, std::uint64_t largest,
                             const Visit& visit) {
    std::uint64_t k = 0;
    while (count > 0) {
        const auto group = std::min(rice_group, count);
        count -= group;
        if (!reader.read(rice_bits, k) ||
            !reader.read_rice(group, static_cast<unsigned>(k), largest, visit)) {
            return false;
        }
    }
    return true;
}

}  // namespace lsr
