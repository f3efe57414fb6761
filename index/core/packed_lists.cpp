#include "packed_lists.hpp"

#include <algorithm>
#include <array>
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

std::span<const DocId> places_of(const std::vector<std::int32_t>& documents) {
    return {reinterpret_cast<const DocId*>(documents.data()), documents.size()};
}

void blocks_of(const BlockIndex& index, std::size_t row, std::vector<std::int32_t>& found) {
    const auto* impacts = index.block_max.data() + row * index.row_stride();
    for (std::size_t block = 0; block < index.block_count(); ++block) {
        if (impacts[block] != 0) found.push_back(static_cast<std::int32_t>(block));
    }
}

void documents_of(const BlockIndex& index, std::size_t place, std::vector<std::int32_t>& found) {
    for (auto p = at(index.narrow_starts, place); p < at(index.narrow_starts, place + 1); ++p) {
        found.push_back(static_cast<std::int32_t>(index.narrow_blocks[p] * block_size +
                                                  index.narrow_lanes[p]));
    }
}

// What a list is, and where it begins in `documents` and in `weights`.
struct Directory {
    struct Entry {
        std::size_t postings, blocks, document_bytes, weight_bytes;
        std::size_t first_document_byte, first_weight_byte;
    };
    std::vector<Entry> entries;

    Directory(const PackedListsView& packed, std::size_t lists) {
        entries.reserve(lists);
        BitReader reader(packed.lengths);
        std::array<std::size_t, 4> numbers{};
        std::size_t found = 0, document_bytes = 0, weight_bytes = 0;
        const auto put = [&](std::uint64_t number) {
            numbers[found++] = static_cast<std::size_t>(number);
            if (found == numbers.size()) {
                entries.push_back({numbers[0], numbers[1], numbers[2], numbers[3], document_bytes,
                                   weight_bytes});
                document_bytes += numbers[2];
                weight_bytes += numbers[3];
                found = 0;
            }
            return true;
        };
        require(read_rice(reader, numbers.size() * lists, longest_list, put) &&
                    reader.is_done() && document_bytes == packed.documents.size() &&
                    weight_bytes == packed.weights.size(),
                "the lengths of its lists");
    }
};

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

// Reads the ascending numbers of a list, all of them below `limit`.
void read_numbers(std::span<const std::uint8_t> bytes, std::size_t count, std::size_t limit,
                  std::vector<std::int32_t>& numbers) {
    std::size_t stated = 0;
    require(unpack_count(bytes, stated) && stated == count, "a list's length");
    numbers.resize(count);
    require(unpack_ascending(bytes, numbers) && static_cast<std::size_t>(numbers.back()) < limit,
            "a list's documents");
}

// Whether the last block holds none of the documents that there are not.
bool is_within(BlockMask mask, std::size_t block, std::size_t documents) {
    const auto left = documents - block * block_size;
    return left >= block_size || mask >> left == 0;
}

}  // namespace

PackedLists pack_lists(const BlockIndex& index) {
    PackedLists packed;
    pack_ascending(index.terms, packed.terms);
    std::vector<std::uint64_t> lengths;
    lengths.reserve(4 * index.terms.size());
    std::vector<std::int32_t> numbers;
    for (std::size_t place = 0; place < index.terms.size(); ++place) {
        const auto begin = at(index.weight_starts, place);
        const auto postings = at(index.weight_starts, place + 1) - begin;
        const bool wide = index.rows[place] >= 0;
        numbers.clear();
        if (wide) {
            blocks_of(index, static_cast<std::size_t>(index.rows[place]), numbers);
        } else {
            documents_of(index, place, numbers);
        }
        const auto before = packed.documents.size(), weights_before = packed.weights.size();
        pack_ascending(numbers, packed.documents);
        pack_weights({reinterpret_cast<const std::uint16_t*>(index.weights.data() + begin),
                      postings},
                     packed.weights);
        lengths.push_back(postings);
        lengths.push_back(wide ? numbers.size() : count_blocks(places_of(numbers)));
        lengths.push_back(packed.documents.size() - before);
        lengths.push_back(packed.weights.size() - weights_before);
    }
    BitWriter writer(packed.lengths);
    write_rice(writer, lengths);
    writer.finish();
    packed.masks.assign(index.masks.begin(), index.masks.begin() + index.mask_starts.back());
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
    const Directory directory(packed, lists);
    const auto block_count = out.view().block_count();
    std::vector<std::size_t> blocks;
    blocks.reserve(lists);
    out.weight_starts.reserve(lists + 1);
    out.weight_starts.push_back(0);
    for (const auto& entry : directory.entries) {
        require(0 < entry.blocks && entry.blocks <= block_count &&
                    entry.blocks <= entry.postings && entry.postings <= order.size() &&
                    entry.postings <= entry.blocks * block_size,
                "a list's length");
        blocks.push_back(entry.blocks);
        out.weight_starts.push_back(out.weight_starts.back() +
                                    static_cast<std::int64_t>(entry.postings));
    }
    out.weights.resize(static_cast<std::size_t>(out.weight_starts.back()));
    make_room(out, blocks);
    require(static_cast<std::size_t>(out.mask_starts.back()) == packed.masks.size(), "the masks");
    std::copy(packed.masks.begin(), packed.masks.end(), out.masks.begin());
    in_chunks(lists, lists_at_a_time, threads, [&](std::size_t place) {
        const auto& entry = directory.entries[place];
        const auto begin = at(out.weight_starts, place);
        const std::span weights{reinterpret_cast<std::uint16_t*>(out.weights.data() + begin),
                                entry.postings};
        require(unpack_weights(packed.weights.subspan(entry.first_weight_byte, entry.weight_bytes),
                               weights) &&
                    positive_and_finite(weights),
                "a weight");
        const auto bytes =
            packed.documents.subspan(entry.first_document_byte, entry.document_bytes);
        std::vector<std::int32_t> numbers;
        if (out.rows[place] < 0) {
            read_numbers(bytes, entry.postings, order.size(), numbers);
            require(count_blocks(places_of(numbers)) == entry.blocks, "a list's documents");
            put_list(out, place, places_of(numbers));
            return;
        }
        read_numbers(bytes, entry.blocks, block_count, numbers);
        const auto last = out.mask_starts[static_cast<std::size_t>(out.rows[place]) + 1] - 1;
        require(put_wide_list(out, place, numbers) &&
                    is_within(out.masks[static_cast<std::size_t>(last)],
                              static_cast<std::size_t>(numbers.back()), order.size()),
                "a list's documents");
    });
    return out;
}

}  // namespace lsr
