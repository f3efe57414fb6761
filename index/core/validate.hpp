// Whether arrays are an inverted index.
#pragma once

#include "block_index.hpp"

namespace lsr {

// Throws std::invalid_argument unless the arrays fit each other: sizes, and starts that never fall
// and end where the arrays they point into do. Reads what there is of each term, not of each
// posting.
void validate_shape(const BlockIndex& index);

// Whether no value is infinite or NaN.
[[nodiscard]] bool all_finite(std::span<const float> values) noexcept;

}  // namespace lsr
