#include "builder.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "parallel.hpp"

namespace lsr {
namespace {

// A list is wide from this share of all blocks on: below, a row costs more memory than it saves
// time.
constexpr std::size_t wide_share = 10;
// Frequent terms may stand together: threads take few at a time.
constexpr std::size_t lists_at_a_time = 64;
constexpr std::uint16_t infinity_bits = 0x7C00;  // larger bits: infinite, NaN or negative

void check(const Documents& documents, std::size_t vocabulary_size) {
    if (documents.offsets.empty() || documents.offsets.front() != 0 ||
        !std::is_sorted(documents.offsets.begin(), documents.offsets.end()) ||
        documents.offsets.back() != static_cast<std::int64_t>(documents.terms.size()) ||
        documents.terms.size() != documents.weights.size()) {
        throw std::invalid_argument("document offsets don't fit the postings");
    }
    if (documents.size() > largest_document_count) {
        throw std::invalid_argument("a segment holds at most 1048576 documents");
    }
    for (std::size_t d = 0; d < documents.size(); ++d) {
        TermId last = -1;
        for (auto p = documents.offsets[d]; p < documents.offsets[d + 1]; ++p) {
            const auto term = documents.terms[static_cast<std::size_t>(p)];
            if (term <= last || static_cast<std::size_t>(term) >= vocabulary_size) {
                throw std::invalid_argument(
                    "a document's terms must be strictly ascending and within the vocabulary");
            }
            last = term;
        }
    }
    for (const auto weight : documents.weights) {
        if (weight.bits >= infinity_bits) {
            throw std::invalid_argument("a document's weight is negative or not finite");
        }
    }
}

// Fills terms and weights; returns the documents of the lists, in the new order.
std::vector<DocId> invert(const Documents& documents, std::size_t vocabulary_size, BlockIndexArrays& out) {
    std::vector<std::int64_t> cursors(vocabulary_size, 0);
    for (std::size_t p = 0; p < documents.terms.size(); ++p) {
        if (documents.weights[p].bits != 0) ++cursors[static_cast<std::size_t>(documents.terms[p])];
    }
    out.weight_starts.push_back(0);
    for (std::size_t term = 0; term < vocabulary_size; ++term) {
        if (cursors[term] == 0) continue;
        out.terms.push_back(static_cast<TermId>(term));
        const auto start = out.weight_starts.back();
        out.weight_starts.push_back(start + cursors[term]);
        cursors[term] = start;
    }
    const auto postings = static_cast<std::size_t>(out.weight_starts.back());
    std::vector<DocId> inverted(postings);
    out.weights.resize(postings);
    for (std::size_t d = 0; d < out.order.size(); ++d) {
        const auto from = out.order[d];
        const auto end = static_cast<std::size_t>(documents.offsets[from + std::size_t{1}]);
        for (auto p = static_cast<std::size_t>(documents.offsets[from]); p < end; ++p) {
            const auto weight = documents.weights[p];
            if (weight.bits == 0) continue;
            const auto term = static_cast<std::size_t>(documents.terms[p]);
            const auto place = static_cast<std::size_t>(cursors[term]++);
            inverted[place] = static_cast<DocId>(d);
            out.weights[place] = weight;
        }
    }
    return inverted;
}

// What one unit of impact stands for, so that 255 of them are no less than the largest weight.
float step_of(std::span<const HalfWeight> weights) {
    std::uint16_t largest = 0;
    for (const auto weight : weights) largest = std::max(largest, weight.bits);
    const auto maximum = HalfWeight{largest}.value();
    auto step = maximum / static_cast<float>(largest_impact);
    while (static_cast<double>(step) * largest_impact < static_cast<double>(maximum)) {
        step = std::nextafter(step, std::numeric_limits<float>::infinity());
    }
    return step;
}

// The least impact that stands for no less than the weight; the product below is exact. A quotient
// is never rounded below a whole number that it reaches, so it is at most one too small.
Impact impact_of(HalfWeight weight, float step) {
    const auto value = weight.value();
    auto impact = static_cast<int>(value / step);
    impact += static_cast<double>(step) * impact < static_cast<double>(value) ? 1 : 0;
    return static_cast<Impact>(std::min(impact, static_cast<int>(largest_impact)));
}

struct List {
    std::span<const DocId> documents;
    std::span<const HalfWeight> weights;
    float step;
};

template <typename Visit>
void for_each_block(std::span<const DocId> documents, const Visit& visit) {
    for (std::size_t begin = 0; begin < documents.size();) {
        const auto block = documents[begin] / block_size;
        auto end = begin + 1;
        while (end < documents.size() && documents[end] / block_size == block) ++end;
        visit(static_cast<std::size_t>(block), begin, end);
        begin = end;
    }
}

Impact block_maximum(const List& list, std::size_t begin, std::size_t end) {
    std::uint16_t largest = 0;
    for (auto i = begin; i < end; ++i) largest = std::max(largest, list.weights[i].bits);
    return impact_of(HalfWeight{largest}, list.step);
}

void pack_narrow(const List& list, std::size_t start, const ListRoom& out) {
    for_each_block(list.documents, [&](std::size_t block, std::size_t begin, std::size_t end) {
        for (auto i = begin; i < end; ++i) {
            out.narrow_blocks[start + i] = static_cast<BlockId>(block);
            out.narrow_lanes[start + i] =
                static_cast<std::uint8_t>(list.documents[i] % block_size);
        }
        out.narrow_impacts[start + begin] = block_maximum(list, begin, end);
    });
}

// As std::popcount, which is a call where the compiler may not assume the instruction.
std::size_t ones(BlockMask mask) {
    std::uint32_t bits = mask;
    bits -= bits >> 1 & 0x5555U;
    bits = (bits & 0x3333U) + (bits >> 2 & 0x3333U);
    bits = (bits + (bits >> 4)) & 0x0F0FU;
    return (bits + (bits >> 8)) & 0x1FU;
}

// The largest of the first `count` weights, one or more.
HalfWeight largest_of(std::span<const HalfWeight> weights, std::size_t count) {
    constexpr std::size_t few = 4;
    std::uint16_t largest = 0;
    std::size_t i = 0;
    // Mostly there are few: looking at them without a branch for each is faster.
    if (weights.size() >= few) {
        for (; i < few; ++i) {
            largest = std::max(largest, i < count ? weights[i].bits : std::uint16_t{0});
        }
    }
    for (; i < count; ++i) largest = std::max(largest, weights[i].bits);
    return {largest};
}

std::span<const HalfWeight> weights_of(const BlockIndex& index, std::size_t place) {
    const auto begin = static_cast<std::size_t>(index.weight_starts[place]);
    const auto end = static_cast<std::size_t>(index.weight_starts[place + 1]);
    return index.weights.subspan(begin, end - begin);
}

// Gives the arrays of lists their sizes; `blocks` has their number of each list.
void make_room(BlockIndexArrays& out, std::span<const std::size_t> blocks) {
    const auto stride = out.view().row_stride();
    auto places = place_lists(out.weight_starts, blocks, stride);
    out.rows = std::move(places.rows);
    out.narrow_starts = std::move(places.narrow_starts);
    out.mask_starts = std::move(places.mask_starts);
    const auto row_count = out.mask_starts.size() - 1;
    const auto narrow = static_cast<std::size_t>(out.narrow_starts.back());
    out.steps.resize(blocks.size());
    out.narrow_blocks.resize(narrow);
    out.narrow_lanes.resize(narrow);
    out.narrow_impacts.resize(narrow);
    out.block_max.resize(row_count * stride);
    out.groups.resize(row_count * out.view().group_count());
    out.masks.resize(static_cast<std::size_t>(out.mask_starts.back()) + group_size);
}

}  // namespace

BlockIndex BlockIndexArrays::view() const {
    return {order,         terms,         steps,        weight_starts,  weights,
            rows,          narrow_starts, narrow_blocks, narrow_lanes,  narrow_impacts,
            block_max,     groups,        mask_starts,  masks};
}

ListRoom BlockIndexArrays::room() {
    return {steps,          weights,   narrow_blocks, narrow_lanes,
            narrow_impacts, block_max, groups,        masks};
}

BlockIndexArrays build(const Documents& documents, std::size_t vocabulary_size,
                       const BuildConfig& config) {
    check(documents, vocabulary_size);
    BlockIndexArrays out;
    if (config.reorder) {
        out.order = bisect(documents, vocabulary_size, config.threads);
    } else {
        out.order.resize(documents.size());
        std::iota(out.order.begin(), out.order.end(), DocId{0});
    }
    const auto inverted = invert(documents, vocabulary_size, out);
    const auto terms = out.terms.size();
    const auto list_of = [&](std::size_t place) {
        const auto begin = static_cast<std::size_t>(out.weight_starts[place]);
        const auto end = static_cast<std::size_t>(out.weight_starts[place + 1]);
        return std::span(inverted).subspan(begin, end - begin);
    };
    std::vector<std::size_t> blocks(terms);
    in_chunks(terms, lists_at_a_time, config.threads,
              [&](std::size_t place) { blocks[place] = count_blocks(list_of(place)); });
    make_room(out, blocks);
    const auto index = out.view();
    const auto room = out.room();
    in_chunks(terms, lists_at_a_time, config.threads,
              [&](std::size_t place) { put_list(index, room, place, list_of(place)); });
    return out;
}

std::size_t count_blocks(std::span<const DocId> documents) {
    std::size_t count = 0;
    auto last = std::numeric_limits<DocId>::max();
    for (const auto document : documents) {
        const auto block = document / block_size;
        count += block != last ? 1 : 0;
        last = static_cast<DocId>(block);
    }
    return count;
}

ListPlaces place_lists(std::span<const std::int64_t> weight_starts,
                       std::span<const std::size_t> blocks, std::size_t row_stride) {
    ListPlaces places;
    places.rows.reserve(blocks.size());
    places.narrow_starts.reserve(blocks.size() + 1);
    places.narrow_starts.push_back(0);
    places.mask_starts.push_back(0);
    for (std::size_t place = 0; place < blocks.size(); ++place) {
        const auto count = weight_starts[place + 1] - weight_starts[place];
        const bool wide = blocks[place] * wide_share > row_stride;
        places.rows.push_back(wide ? static_cast<std::int32_t>(places.mask_starts.size() - 1) : -1);
        places.narrow_starts.push_back(places.narrow_starts.back() + (wide ? 0 : count));
        if (wide) {
            places.mask_starts.push_back(places.mask_starts.back() +
                                         static_cast<std::int64_t>(blocks[place]));
        }
    }
    return places;
}

void put_list(const BlockIndex& index, const ListRoom& room, std::size_t place,
              std::span<const DocId> documents) {
    if (index.rows[place] < 0) {
        const auto weights = weights_of(index, place);
        const List list{documents, weights, step_of(weights)};
        room.steps[place] = list.step;
        pack_narrow(list, static_cast<std::size_t>(index.narrow_starts[place]), room);
        return;
    }
    std::vector<std::int32_t> blocks;
    auto* masks = room.masks.data() + index.mask_starts[static_cast<std::size_t>(index.rows[place])];
    for_each_block(documents, [&](std::size_t block, std::size_t begin, std::size_t end) {
        BlockMask mask = 0;
        for (auto i = begin; i < end; ++i) {
            mask = static_cast<BlockMask>(mask | 1U << (documents[i] % block_size));
        }
        masks[blocks.size()] = mask;
        blocks.push_back(static_cast<std::int32_t>(block));
    });
    (void)put_wide_list(index, room, place, blocks);
}

bool put_wide_list(const BlockIndex& index, const ListRoom& room, std::size_t place,
                   std::span<const std::int32_t> blocks) {
    const auto row = static_cast<std::size_t>(index.rows[place]);
    auto* impacts = room.block_max.data() + row * index.row_stride();
    const auto groups = room.groups.subspan(row * index.group_count(), index.group_count());
    const auto* masks = room.masks.data() + index.mask_starts[row];
    auto weights = weights_of(index, place);
    const auto step = room.steps[place] = step_of(weights);
    const auto total = weights.size();
    std::size_t next_group = 0;
    for (std::size_t used = 0; used < blocks.size(); ++used) {
        const auto block = static_cast<std::size_t>(blocks[used]);
        for (; next_group <= block / group_size; ++next_group) {
            groups[next_group] = {static_cast<std::uint32_t>(used),
                                  static_cast<std::uint32_t>(total - weights.size())};
        }
        const auto count = ones(masks[used]);
        if (count == 0 || count > weights.size()) return false;
        impacts[block] = impact_of(largest_of(weights, count), step);
        weights = weights.subspan(count);
    }
    for (; next_group < groups.size(); ++next_group) {
        groups[next_group] = {static_cast<std::uint32_t>(blocks.size()),
                              static_cast<std::uint32_t>(total)};
    }
    return weights.empty();
}

}  // namespace lsr
