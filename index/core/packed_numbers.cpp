#include "packed_numbers.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>

#include "bit_codec.hpp"

namespace lsr {
namespace {

constexpr unsigned count_bits = 5;
constexpr unsigned base_bits = 16, shift_bits = 4, width_bits = 5;
constexpr unsigned part_bits = base_bits + shift_bits + width_bits;
constexpr unsigned largest_width = 16;
constexpr unsigned two_parts = 31;
constexpr std::uint64_t largest_number = std::numeric_limits<std::int32_t>::max();
constexpr std::size_t largest_first_part = std::numeric_limits<std::uint16_t>::max();

// Of the weights that it was told of.
class Part {
public:
    void add(std::uint16_t weight) {
        if (count_++ == 0) least_ = largest_ = weight;
        differing_ |= static_cast<unsigned>(weight ^ least_);
        least_ = std::min(least_, weight);
        largest_ = std::max(largest_, weight);
    }

    // Low bits that all have alike.
    [[nodiscard]] unsigned shift() const {
        return differing_ == 0 ? 0U : static_cast<unsigned>(std::countr_zero(differing_));
    }

    [[nodiscard]] unsigned width() const {
        return static_cast<unsigned>(
            std::bit_width(static_cast<unsigned>(largest_ - least_) >> shift()));
    }

    [[nodiscard]] std::size_t bits() const { return part_bits + count_ * width(); }

    void write(BitWriter& writer, std::span<const std::uint16_t> weights) const {
        writer.write(least_, base_bits);
        writer.write(shift(), shift_bits);
        writer.write(width(), width_bits);
        for (const auto weight : weights) {
            writer.write(static_cast<unsigned>(weight - least_) >> shift(), width());
        }
    }

private:
    std::size_t count_ = 0;
    std::uint16_t least_ = 0, largest_ = 0;
    unsigned differing_ = 0;
};

Part part_of(std::span<const std::uint16_t> weights) {
    Part part;
    for (const auto weight : weights) part.add(weight);
    return part;
}

// How many to put into a first part, so that the string is shortest; 0: there is one part.
std::size_t first_part(std::span<const std::uint16_t> weights) {
    std::vector<std::size_t> bits_after(weights.size() + 1);
    Part last;
    for (auto place = weights.size(); place-- > 0;) {
        last.add(weights[place]);
        bits_after[place] = last.bits();
    }
    auto least = bits_after[0];
    std::size_t best = 0;
    Part first;
    for (std::size_t count = 1; count < std::min(weights.size(), largest_first_part); ++count) {
        first.add(weights[count - 1]);
        const auto bits = part_bits + first.bits() + bits_after[count];
        if (bits < least) {
            least = bits;
            best = count;
        }
    }
    return best;
}

bool read_part(BitReader& reader, std::uint64_t least, std::uint64_t shift, std::uint64_t width,
               std::span<std::uint16_t> weights) {
    if (width > largest_width) return false;
    std::uint64_t any = 0;
    auto* out = weights.data();
    const auto put = [&](std::uint64_t above) {
        const auto weight = least + (above << shift);
        any |= weight;
        *out++ = static_cast<std::uint16_t>(weight);
    };
    return reader.read_all(weights.size(), static_cast<unsigned>(width), put) &&
           any <= std::numeric_limits<std::uint16_t>::max();
}

bool read_head(BitReader& reader, std::uint64_t& least, std::uint64_t& shift,
               std::uint64_t& width) {
    return reader.read(base_bits, least) && reader.read(shift_bits, shift) &&
           reader.read(width_bits, width);
}

bool read_count(BitReader& reader, std::uint64_t& count) {
    std::uint64_t width = 0;
    return reader.read(count_bits, width) && reader.read(static_cast<unsigned>(width), count);
}

}  // namespace

void pack_ascending(std::span<const std::int32_t> numbers, std::vector<std::uint8_t>& bytes) {
    if (numbers.empty()) return;
    std::vector<std::uint64_t> gaps;
    gaps.reserve(numbers.size());
    std::int64_t before = -1;
    for (const std::int64_t number : numbers) {
        if (number <= before) throw std::invalid_argument("terms are not strictly ascending");
        gaps.push_back(static_cast<std::uint64_t>(number - before - 1));
        before = number;
    }
    BitWriter writer(bytes);
    const auto width = static_cast<unsigned>(std::bit_width(numbers.size()));
    writer.write(width, count_bits);
    writer.write(numbers.size(), width);
    write_rice(writer, gaps);
    writer.finish();
}

void pack_weights(std::span<const std::uint16_t> weights, std::vector<std::uint8_t>& bytes) {
    if (weights.empty()) return;
    BitWriter writer(bytes);
    const auto first = first_part(weights);
    if (first > 0) {
        writer.write(first, base_bits);
        writer.write(0, shift_bits);
        writer.write(two_parts, width_bits);
        part_of(weights.first(first)).write(writer, weights.first(first));
    }
    part_of(weights.subspan(first)).write(writer, weights.subspan(first));
    writer.finish();
}

bool unpack_count(std::span<const std::uint8_t> bytes, std::size_t& count) {
    count = 0;
    if (bytes.empty()) return true;
    BitReader reader(bytes);
    std::uint64_t number = 0;
    if (!read_count(reader, number)) return false;
    // Each takes a bit at least.
    if (number == 0 || number > bytes.size() * 8) return false;
    count = number;
    return true;
}

bool unpack_ascending(std::span<const std::uint8_t> bytes, std::span<std::int32_t> numbers) {
    if (numbers.empty()) return bytes.empty();
    BitReader reader(bytes);
    std::uint64_t count = 0;
    if (!read_count(reader, count) || count != numbers.size()) return false;
    std::uint64_t next = 0;
    auto* out = numbers.data();
    const auto put = [&](std::uint64_t gap) {
        const auto number = next + gap;
        *out++ = static_cast<std::int32_t>(number);
        next = number + 1;
        return number <= largest_number;
    };
    return read_rice(reader, numbers.size(), largest_number, put) && reader.is_done();
}

bool unpack_weights(std::span<const std::uint8_t> bytes, std::span<std::uint16_t> weights) {
    if (weights.empty()) return bytes.empty();
    BitReader reader(bytes);
    std::uint64_t least = 0, shift = 0, width = 0;
    if (!read_head(reader, least, shift, width)) return false;
    if (width == two_parts) {
        const auto first = static_cast<std::size_t>(least);
        if (shift != 0 || first == 0 || first >= weights.size()) return false;
        if (!read_head(reader, least, shift, width) ||
            !read_part(reader, least, shift, width, weights.first(first)) ||
            !read_head(reader, least, shift, width)) {
            return false;
        }
        weights = weights.subspan(first);
    }
    return read_part(reader, least, shift, width, weights) && reader.is_done();
}

}  // namespace lsr
