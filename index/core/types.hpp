// The nouns of the core: a weight, a query, a ranked result. Spans only; the caller owns.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace lsr {

using DocId = std::uint32_t;
using TermId = std::int32_t;
using Score = float;

// Weight of a document's term as stored: IEEE 754 binary16, finite and not negative.
struct HalfWeight {
    std::uint16_t bits;

    // Exact for every finite half that is not negative, subnormal ones included: the bits shifted
    // into a float's place are the value times 2^-112.
    [[nodiscard]] float value() const noexcept {
        return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 13) * 0x1p112F;
    }
};

// Terms strictly ascending: the order in which a document's score is summed.
struct SparseQuery {
    std::span<const TermId> terms;
    std::span<const float> weights;
};

struct ScoredDocument {
    DocId document;
    Score score;
};

// Score descending, then document ascending.
[[nodiscard]] constexpr bool ranks_before(const ScoredDocument& a,
                                          const ScoredDocument& b) noexcept {
    return a.score != b.score ? a.score > b.score : a.document < b.document;
}

}  // namespace lsr
