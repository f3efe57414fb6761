#include "document_weights.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "list_unpacker.hpp"

namespace lsr {
namespace {

constexpr std::int64_t lacking = -1;

std::int64_t narrow_weight(const BlockIndex& index, std::size_t term, std::size_t block,
                           std::size_t lane) {
    const auto begin = index.narrow_blocks.begin();
    const auto first = static_cast<std::ptrdiff_t>(index.narrow_starts[term]);
    const auto last = begin + static_cast<std::ptrdiff_t>(index.narrow_starts[term + 1]);
    auto posting = std::lower_bound(begin + first, last, block);
    for (; posting != last && *posting == block; ++posting) {
        const auto place = posting - begin;
        if (index.narrow_lanes[static_cast<std::size_t>(place)] == lane) {
            return index.weight_starts[term] + place - first;
        }
    }
    return lacking;
}

std::int64_t wide_weight(const BlockIndex& index, std::size_t term, std::size_t block,
                         std::size_t lane) {
    const auto row = static_cast<std::size_t>(index.rows[term]);
    const auto* impacts = index.block_max.data() + row * index.row_stride();
    if (impacts[block] == 0) return lacking;
    const auto& group = index.groups[row * index.group_count() + block / group_size];
    const auto* mask =
        index.masks.data() + static_cast<std::size_t>(index.mask_starts[row]) + group.mask;
    std::int64_t place = group.weight;
    for (auto b = block / group_size * group_size; b < block; ++b) {
        if (impacts[b] != 0) place += std::popcount(*mask++);
    }
    const std::uint32_t documents = *mask;
    if ((documents >> lane & 1U) == 0) return lacking;
    place += std::popcount(documents & ((1U << lane) - 1));
    return index.weight_starts[term] + place;
}

}  // namespace

std::vector<std::uint16_t> DocumentWeights::of(std::span<const std::int64_t> ordinals,
                                               std::span<const TermId> terms) const {
    std::call_once(once_, [&] {
        places_.resize(index_.document_count());
        for (std::size_t place = 0; place < places_.size(); ++place) {
            places_.at(index_.order[place]) = static_cast<DocId>(place);
        }
    });
    std::vector<std::uint16_t> weights(ordinals.size() * terms.size());
    for (std::size_t t = 0; t < terms.size(); ++t) {
        const auto found = std::lower_bound(index_.terms.begin(), index_.terms.end(), terms[t]);
        if (found == index_.terms.end() || *found != terms[t]) continue;
        const auto term = static_cast<std::size_t>(found - index_.terms.begin());
        if (index_.unpacker != nullptr) index_.unpacker->need(term);
        const auto weight_of = index_.rows[term] < 0 ? narrow_weight : wide_weight;
        for (std::size_t d = 0; d < ordinals.size(); ++d) {
            const auto document = places_[static_cast<std::size_t>(ordinals[d])];
            const auto place = weight_of(index_, term, document / block_size, document % block_size);
            if (place == lacking) continue;
            weights[d * terms.size() + t] =
                std::bit_cast<std::uint16_t>(index_.weights[static_cast<std::size_t>(place)]);
        }
    }
    return weights;
}

}  // namespace lsr
