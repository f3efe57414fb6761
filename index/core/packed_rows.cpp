#include "packed_rows.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

namespace lsr {

namespace {

constexpr std::size_t group_size = 32;
constexpr unsigned count_bits = 5, gap_bits = 5;
constexpr unsigned base_bits = 16, shift_bits = 4, width_bits = 5;
constexpr std::uint64_t largest_term = std::numeric_limits<std::int32_t>::max();
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

std::span<const std::uint64_t> next_group(std::span<const std::uint64_t>& gaps) {
    const auto group = gaps.first(std::min(group_size, gaps.size()));
    gaps = gaps.subspan(group.size());
    return group;
}

// The number of low bits that makes a group shortest, near that of its mean.
unsigned low_bits(std::span<const std::uint64_t> group) {
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

void pack_terms(std::span<const std::int32_t> terms, std::vector<std::uint64_t>& gaps,
                std::vector<std::uint8_t>& bytes) {
    gaps.clear();
    std::int64_t before = -1;
    for (const std::int64_t term : terms) {
        if (term <= before) throw std::invalid_argument("terms are not strictly ascending");
        gaps.push_back(static_cast<std::uint64_t>(term - before - 1));
        before = term;
    }
    BitWriter writer(bytes);
    const auto width = static_cast<unsigned>(std::bit_width(terms.size()));
    writer.write(width, count_bits);
    writer.write(terms.size(), width);
    for (std::span<const std::uint64_t> left = gaps; !left.empty();) {
        const auto group = next_group(left);
        const auto k = low_bits(group);
        writer.write(k, gap_bits);
        for (const auto gap : group) {
            writer.write_zeros(gap >> k);
            writer.write(1, 1);
            writer.write(gap & ((std::uint64_t{1} << k) - 1), k);
        }
    }
    writer.finish();
}

void pack_weights(std::span<const std::uint16_t> weights, std::vector<std::uint8_t>& bytes) {
    const auto least = *std::min_element(weights.begin(), weights.end());
    unsigned used = 0;
    for (const auto weight : weights) used |= static_cast<unsigned>(weight - least);
    const auto shift = used == 0 ? 0U : static_cast<unsigned>(std::countr_zero(used));
    const auto width = static_cast<unsigned>(std::bit_width(used >> shift));
    BitWriter writer(bytes);
    writer.write(least, base_bits);
    writer.write(shift, shift_bits);
    writer.write(width, width_bits);
    for (const auto weight : weights) {
        writer.write(static_cast<unsigned>(weight - least) >> shift, width);
    }
    writer.finish();
}

// How many; false where they are malformed.
bool unpack_terms(std::span<const std::uint8_t> bytes, std::vector<std::int32_t>& terms,
                  std::size_t& count) {
    BitReader reader(bytes);
    std::uint64_t width = 0, number = 0;
    if (!reader.read(count_bits, width) || !reader.read(static_cast<unsigned>(width), number)) {
        return false;
    }
    // Each term takes a bit at least.
    if (number == 0 || number > bytes.size() * 8) return false;
    count = number;
    std::uint64_t next = 0, k = 0;
    for (std::size_t place = 0; place < count; ++place) {
        if (place % group_size == 0 && !reader.read(gap_bits, k)) return false;
        std::uint64_t high = 0, low = 0;
        if (!reader.read_zeros(high) || !reader.read(static_cast<unsigned>(k), low)) return false;
        if (high > largest_term >> k) return false;
        const auto term = next + (high << k | low);
        if (term > largest_term) return false;
        terms.push_back(static_cast<std::int32_t>(term));
        next = term + 1;
    }
    return reader.is_done();
}

bool unpack_weights(std::span<const std::uint8_t> bytes, std::size_t count,
                    std::vector<std::uint16_t>& weights) {
    BitReader reader(bytes);
    std::uint64_t least = 0, shift = 0, width = 0, above = 0;
    if (!reader.read(base_bits, least) || !reader.read(shift_bits, shift) ||
        !reader.read(width_bits, width) || width > 16) {
        return false;
    }
    for (std::size_t place = 0; place < count; ++place) {
        if (!reader.read(static_cast<unsigned>(width), above)) return false;
        const auto weight = least + (above << shift);
        if (weight > std::numeric_limits<std::uint16_t>::max()) return false;
        weights.push_back(static_cast<std::uint16_t>(weight));
    }
    return reader.is_done();
}

// The bytes of a row; those of all rows are checked by check_starts.
std::span<const std::uint8_t> row_of(std::span<const std::uint8_t> bytes,
                                     std::span<const std::int64_t> starts, std::size_t row) {
    const auto begin = static_cast<std::size_t>(starts[row]);
    return bytes.subspan(begin, static_cast<std::size_t>(starts[row + 1]) - begin);
}

void check_starts(std::span<const std::int64_t> starts, std::size_t size) {
    if (starts.empty() || starts.front() != 0 ||
        starts.back() != static_cast<std::int64_t>(size) ||
        !std::is_sorted(starts.begin(), starts.end())) {
        throw std::invalid_argument("rows don't fit what they are made of");
    }
}

}  // namespace

PackedRows pack_rows(std::span<const std::int64_t> starts, std::span<const std::int32_t> terms,
                     std::span<const std::uint16_t> weights) {
    check_starts(starts, terms.size());
    if (weights.size() != terms.size()) {
        throw std::invalid_argument("there are not as many weights as terms");
    }
    PackedRows packed;
    packed.term_starts.reserve(starts.size());
    packed.weight_starts.reserve(starts.size());
    packed.term_starts.push_back(0);
    packed.weight_starts.push_back(0);
    std::vector<std::uint64_t> gaps;
    for (std::size_t row = 0; row + 1 < starts.size(); ++row) {
        const auto begin = static_cast<std::size_t>(starts[row]);
        const auto count = static_cast<std::size_t>(starts[row + 1]) - begin;
        if (count > 0) {
            pack_terms(terms.subspan(begin, count), gaps, packed.terms);
            pack_weights(weights.subspan(begin, count), packed.weights);
        }
        packed.term_starts.push_back(static_cast<std::int64_t>(packed.terms.size()));
        packed.weight_starts.push_back(static_cast<std::int64_t>(packed.weights.size()));
    }
    return packed;
}

UnpackedRows unpack_rows(std::span<const std::uint8_t> terms,
                         std::span<const std::int64_t> term_starts,
                         std::span<const std::uint8_t> weights,
                         std::span<const std::int64_t> weight_starts) {
    check_starts(term_starts, terms.size());
    check_starts(weight_starts, weights.size());
    if (term_starts.size() != weight_starts.size()) {
        throw std::invalid_argument("there are not as many rows of weights as of terms");
    }
    UnpackedRows unpacked;
    unpacked.starts.reserve(term_starts.size());
    unpacked.starts.push_back(0);
    for (std::size_t row = 0; row + 1 < term_starts.size(); ++row) {
        const auto row_terms = row_of(terms, term_starts, row);
        const auto row_weights = row_of(weights, weight_starts, row);
        std::size_t count = 0;
        const bool sound =
            row_terms.empty()
                ? row_weights.empty()
                : unpack_terms(row_terms, unpacked.terms, count) &&
                      unpack_weights(row_weights, count, unpacked.weights);
        if (!sound) throw std::invalid_argument("row " + std::to_string(row) + " is malformed");
        unpacked.starts.push_back(static_cast<std::int64_t>(unpacked.terms.size()));
    }
    return unpacked;
}

}  // namespace lsr
