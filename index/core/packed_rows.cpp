#include "packed_rows.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "packed_numbers.hpp"

namespace lsr {

namespace {

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
    for (std::size_t row = 0; row + 1 < starts.size(); ++row) {
        const auto begin = static_cast<std::size_t>(starts[row]);
        const auto count = static_cast<std::size_t>(starts[row + 1]) - begin;
        pack_ascending(terms.subspan(begin, count), packed.terms);
        pack_weights(weights.subspan(begin, count), packed.weights);
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
    std::size_t total = 0;
    for (std::size_t row = 0; row + 1 < term_starts.size(); ++row) {
        std::size_t count = 0;
        if (unpack_count(row_of(terms, term_starts, row), count)) total += count;
    }
    unpacked.terms.reserve(total);
    unpacked.weights.reserve(total);
    for (std::size_t row = 0; row + 1 < term_starts.size(); ++row) {
        const auto row_terms = row_of(terms, term_starts, row);
        const auto row_weights = row_of(weights, weight_starts, row);
        const auto begin = unpacked.terms.size();
        std::size_t count = 0;
        bool sound = unpack_count(row_terms, count);
        if (sound) {
            unpacked.terms.resize(begin + count);
            unpacked.weights.resize(begin + count);
            sound = unpack_ascending(row_terms, std::span(unpacked.terms).subspan(begin)) &&
                    unpack_weights(row_weights, std::span(unpacked.weights).subspan(begin));
        }
        if (!sound) throw std::invalid_argument("row " + std::to_string(row) + " is malformed");
        unpacked.starts.push_back(static_cast<std::int64_t>(unpacked.terms.size()));
    }
    return unpacked;
}

}  // namespace lsr
