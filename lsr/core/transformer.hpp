// The states of a BERT: its last hidden ones, or those before a language model's projection.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers.hpp"

namespace lsr::head {

// `weight` is (outputs, inputs) row by row, `bias` (outputs).
struct Linear {
    std::span<const float> weight;
    std::span<const float> bias;
};

struct Norm {
    std::span<const float> scale;
    std::span<const float> shift;
};

// One layer as Devlin et al. 2019 have it: normalised after each of its two halves.
struct Layer {
    Linear query, key, value, attended;
    Norm attended_norm;
    Linear inner, outer;
    Norm outer_norm;
};

struct Shape {
    std::size_t width;  // of a state
    std::size_t heads;  // divides it
    float epsilon;      // added to variances
};

// `words` (any number, width) outlives the transformer; `places` (longest text, width) are the
// embeddings of positions and of the first segment together. The last linear layer and norm stand
// before the vocabulary projection of a language model; both are empty in what is none.
struct Weights {
    std::span<const float> words;
    std::span<const float> places;
    Norm embedded_norm;
    std::vector<Layer> layers;
    Linear transform;
    Norm transform_norm;
};

// Tokens come packed, without padding; each document attends to itself.
class Transformer {
public:
    // Raises std::invalid_argument where an array has another size than the others ask for.
    // With `whole` the linear layers of its layers multiply whole numbers of 8 bits: each output's
    // weights have one scale, and each token's inputs.
    Transformer(const Weights& weights, const Shape& shape, const LayerKernels& kernels,
                bool whole = false);

    [[nodiscard]] std::size_t width() const noexcept { return shape_.width; }

    // `states` (tokens, width) is filled; document d owns the tokens offsets[d] to offsets[d + 1].
    // Raises std::out_of_range for an unknown token id or a document that is too long.
    void states(std::span<const std::int64_t> ids, std::span<const std::int64_t> offsets,
                std::span<float> states) const;

private:
    class Group;

    // A linear layer in blocks of outputs, [block][input][output], with zeros after the last. Of
    // whole numbers it has `scales`, one an output, and either `weight`, of whole numbers, or
    // `whole`, as WholeProduct has it.
    struct Packed {
        std::size_t inputs;
        std::size_t outputs;  // whole blocks
        std::vector<float> weight;
        std::vector<float> bias;
        std::vector<float> scales = {};
        std::vector<std::uint8_t> whole = {};
    };

    struct PackedNorm {
        std::vector<float> scale;
        std::vector<float> shift;
    };

    // Query, key and value are one linear layer, and each head has whole blocks of its outputs.
    struct PackedLayer {
        Packed projections;
        Packed attended;
        PackedNorm attended_norm;
        Packed inner;
        Packed outer;
        PackedNorm outer_norm;
    };

    [[nodiscard]] std::size_t whole_blocks(std::size_t outputs) const noexcept;
    [[nodiscard]] std::size_t head_room() const noexcept;
    [[nodiscard]] Packed empty(std::size_t inputs, std::size_t outputs) const;
    void fill(Packed& packed, const Linear& linear, std::size_t inputs, std::size_t first_source,
              std::size_t count, std::size_t first, float factor) const;
    [[nodiscard]] Packed pack(const Linear& linear, std::size_t inputs) const;
    void round(Packed& packed) const;
    [[nodiscard]] PackedNorm pack(const Norm& norm) const;
    [[nodiscard]] PackedLayer pack(const Layer& layer) const;

    Shape shape_;
    const LayerKernels& kernels_;
    std::span<const float> words_;
    std::vector<float> places_;
    PackedNorm embedded_norm_;
    std::vector<PackedLayer> layers_;
    Packed transform_;  // without outputs where there is none
    PackedNorm transform_norm_;
};

}  // namespace lsr::head
