// The inner loops of a transformer's layers, one set for each instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lsr::head {

// out[t][o] = bias[o] + the sum over k of input[t][k] * weight[k][o], for whole blocks of outputs.
// Strides are in floats: from token to token, from k to k, and from a block of outputs to the next.
struct Product {
    const float* input;
    std::size_t input_stride;
    std::size_t inputs;
    const float* weight;
    std::size_t weight_stride;
    std::size_t block_stride;
    const float* bias;  // nullptr: zeros
    float* output;
    std::size_t output_stride;
    std::size_t outputs;  // a multiple of LayerKernels::block
};

constexpr std::size_t whole_depth = 4;     // inputs that integer kernels take at a time
constexpr std::int32_t whole_largest = 127;  // magnitude of a whole number
constexpr std::int32_t whole_zero = 128;     // is added to a weight's, to have it positive

// The same of whole numbers: out[t][o] = bias[o] + input_scales[t] * scales[o] * sum over k of
// input[t][k] * (weight[k][o] - whole_zero). `weight` is [block][group of inputs][output][input of
// the group], and offsets[t] is -whole_zero times the sum of a token's inputs.
struct WholeProduct {
    const std::int8_t* input;
    std::size_t groups;  // of a token's inputs, which follow each other
    const std::int32_t* offsets;
    const float* input_scales;
    const std::uint8_t* weight;
    const float* scales;
    const float* bias;
    float* output;
    std::size_t output_stride;
    std::size_t outputs;  // a multiple of LayerKernels::block
};

struct LayerKernels {
    std::string_view name;
    std::size_t block;  // outputs that are computed together

    void (*multiply)(const Product& product, std::size_t tokens);

    // nullptr where whole numbers are multiplied no faster than others.
    void (*multiply_whole)(const WholeProduct& product, std::size_t tokens);

    // The whole numbers of a row, up to whole_largest, and the scale that gives the row back.
    float (*round)(const float* row, std::size_t count, std::int8_t* whole);

    // Exact GELU, x * (1 + erf(x / sqrt(2))) / 2, in place; erf by Abramowitz and Stegun 1964,
    // 7.1.26, off by at most 1.5e-7. `count` is a multiple of `block`.
    void (*gelu)(float* values, std::size_t count);

    // exp(value - largest) in place, and one over their sum. `count` values, of which there is
    // room for whole blocks.
    float (*exponentials)(float* values, std::size_t count);

    // row = (row + other - mean) / sqrt(variance + epsilon) * scale + shift over `width` values;
    // `other` may be nullptr.
    void (*normalise)(float* row, const float* other, std::size_t width, const float* scale,
                      const float* shift, float epsilon);
};

// The set of that name, or nullptr where this machine or build lacks it; names are those of
// kernels_named.
[[nodiscard]] const LayerKernels* layer_kernels_named(std::string_view name) noexcept;

}  // namespace lsr::head
