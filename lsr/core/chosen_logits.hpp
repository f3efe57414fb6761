// Gradients of a few chosen logits, where all others have none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lsr::head {

// The chosen logits: number i is weight[terms[i]] . states[tokens[i]].
struct Chosen {
    std::span<const std::int64_t> tokens;
    std::span<const std::int64_t> terms;
    std::span<const float> gradient;
};

// Adds to (tokens, width) and (terms, width) what the logits' gradients make of them; one that is
// empty is left alone. The logits are taken in their order, with no fused operation, so that sums
// are the same bits on every machine. Throws std::invalid_argument where a place is outside.
void add_gradients(const Chosen& chosen, std::size_t width, std::span<const float> states,
                   std::span<const float> weight, std::span<float> of_states,
                   std::span<float> of_weight);

}  // namespace lsr::head
