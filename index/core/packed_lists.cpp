#include "packed_lists.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <stdexcept>
#include <string>

#include "bit_codec.hpp"
#include "packed_numbers.hpp"
#include "parallel.hpp"

namespace lsr {
namespace {

constexpr std::size_t lists_at_a_time = 64;
constexpr std::uint64_t longest_list = std::numeric_limits<std::uint32_t>::max();  // bytes

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(std::string("the index is malformed: ") + what);
}

std::size_t at(std::span<const std::int64_t> starts, std::size_t place) {
    return static_cast<std::size_t>(starts[place]);
}

void wide_documents(const BlockIndex& index, std::size_t row, std::vector<std::int32_t>& found) {
    const auto* impacts = index.block_max.data() + row * index.row_stride();
    auto mask = at(index.mask_starts, row);
    for (std::size_t block = 0; block < index.block_count(); ++block) {
        if (impacts[block] == 0) continue;
        for (std::uint32_t held = index.masks[mask++]; held != 0; held &= held - 1) {
            const auto lane = static_cast<std::size_t>(std::countr_zero(held));
            found.push_back(static_cast<std::int32_t>(block * block_size + lane));
        }
    }
}

void narrow_documents(const BlockIndex& index, std::size_t place,
                      std::vector<std::int32_t>& found) {
    for (auto p = at(index.narrow_starts, place); p < at(index.narrow_starts, place + 1); ++p) {
        found.push_back(static_cast<std::int32_t>(index.narrow_blocks[p] * block_size +
                                                  index.narrow_lanes[p]));
    }
}

// Where each list begins in `documents` and in `weights`: a number more than lists.
struct Starts {
    std::vector<std::size_t> documents, weights;

    Starts(const PackedListsView& packed, std::size_t lists) : documents{0}, weights{0} {
        documents.reserve(lists + 1);
        weights.reserve(lists + 1);
        BitReader reader(packed.lengths);
        const auto put = [&](std::uint64_t bytes) {
            auto& starts = documents.size() > weights.size() ? weights : documents;
            starts.push_back(starts.back() + static_cast<std::size_t>(bytes));
            return true;
        };
        require(read_rice(reader, 2 * lists, longest_list, put) && reader.is_done() &&
                    documents.back() == packed.documents.size() &&
                    weights.back() == packed.weights.size(),
                "the lengths of its lists");
    }
};

std::span<const std::uint8_t> part(std::span<const std::uint8_t> bytes,
                                   const std::vector<std::size_t>& starts, std::size_t place) {
    return bytes.subspan(starts[place], starts[place + 1] - starts[place]);
}

bool positive_and_finite(std::span<const std::uint16_t> weights) {
    constexpr std::uint16_t infinity_bits = 0x7C00;  // larger bits: NaN or negative
    bool sound = true;
    for (const auto bits : weights) {
        sound &= static_cast<std::uint16_t>(bits - 1) < infinity_bits - 1;
    }
    return sound;
}

void check_order(std::span<const DocId> order) {
    require(order.size() <= largest_document_count, "the number of documents");
    std::vector<bool> seen(order.size());
    for (const auto ordinal : order) {
        require(ordinal < seen.size() && !seen[ordinal], "the document order");
        seen[ordinal] = true;
    }
}

}  // namespace

PackedLists pack_lists(const BlockIndex& index) {
    PackedLists packed;
    pack_ascending(index.terms, packed.terms);
    std::vector<std::uint64_t> lengths;
    lengths.reserve(2 * index.terms.size());
    std::vector<std::int32_t> documents;
    for (std::size_t place = 0; place < index.terms.size(); ++place) {
        documents.clear();
        if (index.rows[place] < 0) {
            narrow_documents(index, place, documents);
        } else {
            wide_documents(index, static_cast<std::size_t>(index.rows[place]), documents);
        }
        const auto before = packed.documents.size(), weights_before = packed.weights.size();
        pack_ascending(documents, packed.documents);
        const auto* weights = index.weights.data() + index.weight_starts[place];
        pack_weights({reinterpret_cast<const std::uint16_t*>(weights), documents.size()},
                     packed.weights);
        lengths.push_back(packed.documents.size() - before);
        lengths.push_back(packed.weights.size() - weights_before);
    }
    BitWriter writer(packed.lengths);
    write_rice(writer, lengths);
    writer.finish();
    return packed;
}

BlockIndexArrays unpack_lists(const PackedListsView& packed, std::span<const DocId> order,
                              std::size_t vocabulary_size, unsigned threads) {
    check_order(order);
    BlockIndexArrays out;
    out.order.assign(order.begin(), order.end());
    std::size_t lists = 0;
    require(unpack_count(packed.terms, lists), "its terms");
    out.terms.resize(lists);
    require(unpack_ascending(packed.terms, out.terms) &&
                (lists == 0 || static_cast<std::size_t>(out.terms.back()) < vocabulary_size),
            "its terms");
    const Starts starts(packed, lists);
    out.weight_starts.reserve(lists + 1);
    out.weight_starts.push_back(0);
    for (std::size_t place = 0; place < lists; ++place) {
        std::size_t count = 0;
        require(unpack_count(part(packed.documents, starts.documents, place), count) &&
                    count > 0 && count <= order.size(),
                "a list's length");
        out.weight_starts.push_back(out.weight_starts.back() + static_cast<std::int64_t>(count));
    }
    const auto postings = static_cast<std::size_t>(out.weight_starts.back());
    std::vector<std::int32_t> documents(postings);
    out.weights.resize(postings);
    in_chunks(lists, lists_at_a_time, threads, [&](std::size_t place) {
        const auto begin = at(out.weight_starts, place);
        const auto count = at(out.weight_starts, place + 1) - begin;
        const auto found = std::span(documents).subspan(begin, count);
        const std::span weights{reinterpret_cast<std::uint16_t*>(out.weights.data() + begin), count};
        require(unpack_ascending(part(packed.documents, starts.documents, place), found) &&
                    static_cast<std::size_t>(found.back()) < order.size(),
                "a posting's document");
        require(unpack_weights(part(packed.weights, starts.weights, place), weights) &&
                    positive_and_finite(weights),
                "a weight");
    });
    assemble(out, {reinterpret_cast<const DocId*>(documents.data()), postings}, threads);
    return out;
}

}  // namespace lsr
