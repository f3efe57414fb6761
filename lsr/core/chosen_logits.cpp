#include "chosen_logits.hpp"

#include <stdexcept>

namespace lsr::head {
namespace {

void check(std::span<const std::int64_t> places, std::size_t count) {
    for (const auto place : places) {
        if (place < 0 || static_cast<std::size_t>(place) >= count) {
            throw std::invalid_argument("a chosen logit is outside of states or weight");
        }
    }
}

void add_scaled(float* __restrict sum, const float* __restrict row, float factor,
                std::size_t width) {
    for (std::size_t k = 0; k < width; ++k) sum[k] += factor * row[k];
}

}  // namespace

void add_gradients(const Chosen& chosen, std::size_t width, std::span<const float> states,
                   std::span<const float> weight, std::span<float> of_states,
                   std::span<float> of_weight) {
    const auto count = chosen.gradient.size();
    if (chosen.tokens.size() != count || chosen.terms.size() != count) {
        throw std::invalid_argument("each chosen logit needs a token, a term and a gradient");
    }
    if ((!of_states.empty() && of_states.size() != states.size()) ||
        (!of_weight.empty() && of_weight.size() != weight.size())) {
        throw std::invalid_argument("gradients need the shapes of states and weight");
    }
    check(chosen.tokens, states.size() / width);
    check(chosen.terms, weight.size() / width);
    for (std::size_t i = 0; i < count; ++i) {
        const float factor = chosen.gradient[i];
        if (factor == 0.0F) continue;
        const auto token = static_cast<std::size_t>(chosen.tokens[i]) * width;
        const auto term = static_cast<std::size_t>(chosen.terms[i]) * width;
        if (!of_states.empty()) {
            add_scaled(of_states.data() + token, weight.data() + term, factor, width);
        }
        if (!of_weight.empty()) {
            add_scaled(of_weight.data() + term, states.data() + token, factor, width);
        }
    }
}

}  // namespace lsr::head
