// The weights of some terms in some documents, each found by itself.
#pragma once

#include <mutex>
#include <span>
#include <vector>

#include "block_index.hpp"

namespace lsr {

// Looks documents up by their ordinals, for which it keeps the place of each; thread-safe.
class DocumentWeights {
public:
    explicit DocumentWeights(const BlockIndex& index) : index_(index) {}

    // (ordinals, terms): the bits of each weight, 0 where the document lacks the term. Ordinals
    // are below the number of documents.
    [[nodiscard]] std::vector<std::uint16_t> of(std::span<const std::int64_t> ordinals,
                                                std::span<const TermId> terms) const;

private:
    const BlockIndex& index_;
    mutable std::once_flag once_;
    mutable std::vector<DocId> places_;  // by ordinal: its place in the index's order
};

}  // namespace lsr
