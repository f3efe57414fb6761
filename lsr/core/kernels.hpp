// The inner loops of the vocabulary projection, one set for each instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lsr::head {

constexpr std::size_t lanes = 16;       // terms whose weights are interleaved
constexpr std::size_t block_terms = 32; // terms that are screened together: two times `lanes`
constexpr std::size_t depth = 4;        // coordinates that integer kernels take at a time
constexpr std::size_t group_unit = 2;   // groups of coordinates come in pairs

// One document's states as integers: `values` in tiles of `Kernels::tile` tokens, each
// [group of `depth` coordinates][token][coordinate]; `offsets` is -weight_zero() times each token's sum.
struct ScreenTokens {
    const std::int8_t* values;
    const std::int32_t* offsets;
    std::size_t tiles;
};

// Bounds of a term's logits: at most constant + product * scale + norm * alpha + error * beta,
// where product is the integer dot product and alpha, beta, and a factor of scale are a document's.
struct TermBounds {
    const float* scale;
    const float* constant;
    const float* norm;
    const float* error;
};

struct DocumentBounds {
    float scale;
    float alpha;
    float beta;
};

struct Winners {
    std::array<float, lanes> largest;
    std::array<std::int32_t, lanes> tokens;
};

struct Kernels {
    std::string_view name;
    std::size_t tile;           // tokens that are multiplied together
    std::int32_t state_limit;   // largest magnitude of a state's integer
    std::int32_t weight_limit;  // the same of a weight's

    // What is added to a weight's integer to have it positive.
    [[nodiscard]] constexpr std::int32_t weight_zero() const noexcept { return weight_limit + 1; }

    // Which of `block_terms` terms may have a logit above `floor` at some token: a bit each, set
    // where the bound is above it or, by overflow, no number. `weights` holds two times [group][lane][coordinate], each plus
    // weight_zero().
    std::uint32_t (*screen)(const std::uint8_t* weights, std::size_t groups,
                            const ScreenTokens& tokens, const TermBounds& terms,
                            const DocumentBounds& document, float floor);

    // Largest dot product of each of `lanes` terms, [coordinate][lane], over tiles of tokens,
    // [tile][coordinate][token], and the first token that has it. Coordinates are added in
    // ascending order with fused multiply-adds, so every set gives the same bits.
    void (*project)(const float* weights, std::size_t width, const float* tokens,
                    std::size_t tiles, Winners& winners);
};

[[nodiscard]] const Kernels& scalar_kernels() noexcept;
// The set of that name, or nullptr where this machine or build lacks it.
[[nodiscard]] const Kernels* kernels_named(std::string_view name) noexcept;
// The fastest set this machine has.
[[nodiscard]] const Kernels& best_kernels() noexcept;

}  // namespace lsr::head
