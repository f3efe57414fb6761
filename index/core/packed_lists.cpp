#include "packed_lists.hpp"

#include "bit_codec.hpp"
#include "packed_numbers.hpp"

namespace lsr {
namespace {

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

}  // namespace lsr
