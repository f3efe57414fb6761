// Largest logit of each term over a document's positions, without the logits.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels.hpp"

namespace lsr::head {

// The rows above a floor, document after document: document d has entries ends[d - 1] to ends[d],
// its terms ascending. Of each the first of its document's tokens that has this logit.
struct Pooled {
    std::vector<std::int64_t> ends;
    std::vector<std::int32_t> terms;
    std::vector<float> values;
    std::vector<std::int64_t> tokens;
};

// A vocabulary projection, logit(term, state) = weight[term] . state + bias[term].
//
// Nearly all logits of a trained model are negative, so a screen in 8-bit integers first finds
// the terms that may reach the floor. Its bound never lies below the float result: quantisation
// errors enter it by the Cauchy-Schwarz inequality, rounding by the standard bound of a dot
// product (Higham 2002, section 3.1). Only what passes is computed in float.
class Projection {
public:
    // `weight` is (terms, width) row by row and, like `bias` (terms, or empty), outlives this.
    // `center` (width) is about the mean of the states: it makes the integers finer, and changes
    // no result.
    Projection(std::span<const float> weight, std::span<const float> bias,
               std::span<const float> center, const Kernels& kernels);

    [[nodiscard]] std::size_t width() const noexcept { return center_.size(); }
    [[nodiscard]] std::size_t terms() const noexcept { return weight_.size() / width(); }

    // `states` is (tokens, width) row by row; document d owns the tokens offsets[d] to
    // offsets[d + 1], at least one. A document with a state that is not finite gets one entry:
    // term 0, not a number. `screened` counts the terms that were computed in float.
    void largest(std::span<const float> states, std::span<const std::int64_t> offsets,
                 float floor, Pooled& pooled, std::int64_t& screened) const;

private:
    struct Document;
    class Batch;

    [[nodiscard]] TermBounds bounds_of(std::size_t block) const noexcept;

    std::span<const float> weight_;
    std::span<const float> bias_;
    std::vector<float> center_;
    const Kernels& kernels_;
    std::size_t groups_;  // of `depth` coordinates, with zeros after the last
    std::vector<std::uint8_t> packed_;
    std::vector<float> scale_;
    std::vector<float> constant_;
    std::vector<float> norm_;
    std::vector<float> error_;
};

}  // namespace lsr::head
