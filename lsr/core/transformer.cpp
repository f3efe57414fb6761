#include "transformer.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace lsr::head {
namespace {

// Tokens that go through the layers together, so that their states stay in the cache.
constexpr std::size_t group_tokens = 256;
// Queries whose attention is computed together.
constexpr std::size_t query_tile = 12;

void check(std::span<const float> array, std::size_t size) {
    if (array.size() != size) throw std::invalid_argument("an array has not the expected size");
}

}  // namespace

std::size_t Transformer::whole_blocks(std::size_t outputs) const noexcept {
    return (outputs + kernels_.block - 1) / kernels_.block * kernels_.block;
}

std::size_t Transformer::head_room() const noexcept {
    return whole_blocks(shape_.width / shape_.heads);
}

Transformer::Packed Transformer::empty(std::size_t inputs, std::size_t outputs) const {
    const auto whole = whole_blocks(outputs);
    return {inputs, whole, std::vector<float>(inputs * whole), std::vector<float>(whole)};
}

// Puts `count` outputs of a linear layer, from `first_source` on, at `first`, times `factor`.
void Transformer::fill(Packed& packed, const Linear& linear, std::size_t inputs,
                       std::size_t first_source, std::size_t count, std::size_t first,
                       float factor) const {
    const auto block = kernels_.block;
    for (std::size_t o = 0; o < count; ++o) {
        const auto source = first_source + o;
        const auto target = first + o;
        auto* column = packed.weight.data() + target / block * block * inputs + target % block;
        for (std::size_t k = 0; k < inputs; ++k) {
            column[k * block] = linear.weight[source * inputs + k] * factor;
        }
        packed.bias[target] = linear.bias[source] * factor;
    }
}

Transformer::Packed Transformer::pack(const Linear& linear, std::size_t inputs) const {
    const auto outputs = linear.bias.size();
    check(linear.weight, inputs * outputs);
    auto packed = empty(inputs, outputs);
    fill(packed, linear, inputs, 0, outputs, 0, 1.0F);
    return packed;
}

// Makes whole numbers of a layer's weights.
void Transformer::round(Packed& packed) const {
    const auto block = kernels_.block;
    const auto groups = (packed.inputs + whole_depth - 1) / whole_depth;
    packed.scales.assign(packed.outputs, 0.0F);
    if (kernels_.multiply_whole != nullptr) {
        packed.whole.assign(packed.outputs * groups * whole_depth, whole_zero);
    }
    std::vector<float> row(packed.inputs);
    std::vector<std::int8_t> rounded(packed.inputs);
    for (std::size_t o = 0; o < packed.outputs; ++o) {
        auto* column = packed.weight.data() + o / block * block * packed.inputs + o % block;
        for (std::size_t k = 0; k < packed.inputs; ++k) row[k] = column[k * block];
        packed.scales[o] = kernels_.round(row.data(), row.size(), rounded.data());
        auto* bytes = packed.whole.data() + o / block * block * groups * whole_depth;
        for (std::size_t k = 0; k < packed.inputs; ++k) {
            column[k * block] = rounded[k];
            if (!packed.whole.empty()) {
                const auto group = k / whole_depth;
                bytes[(group * block + o % block) * whole_depth + k % whole_depth] =
                    static_cast<std::uint8_t>(rounded[k] + whole_zero);
            }
        }
    }
    if (!packed.whole.empty()) packed.weight = {};
}

Transformer::PackedNorm Transformer::pack(const Norm& norm) const {
    check(norm.scale, shape_.width);
    check(norm.shift, shape_.width);
    return {{norm.scale.begin(), norm.scale.end()}, {norm.shift.begin(), norm.shift.end()}};
}

Transformer::PackedLayer Transformer::pack(const Layer& layer) const {
    const auto [width, heads, _] = shape_;
    const auto size = width / heads;
    const auto room = head_room();
    const auto scale = 1.0F / std::sqrt(static_cast<float>(size));
    PackedLayer packed{empty(width, 3 * heads * room), {}, pack(layer.attended_norm),
                       pack(layer.inner, width), {}, pack(layer.outer_norm)};
    const std::pair<const Linear*, float> sources[] = {
        {&layer.query, scale}, {&layer.key, 1.0F}, {&layer.value, 1.0F}};
    std::size_t first = 0;
    for (const auto& [linear, factor] : sources) {
        check(linear->weight, width * width);
        check(linear->bias, width);
        for (std::size_t head = 0; head < heads; ++head, first += room) {
            fill(packed.projections, *linear, width, head * size, size, first, factor);
        }
    }
    // The attended values of a head stand in whole blocks too: so do the inputs they meet.
    check(layer.attended.weight, width * width);
    check(layer.attended.bias, width);
    std::vector<float> spread(width * heads * room);
    for (std::size_t o = 0; o < width; ++o) {
        for (std::size_t k = 0; k < width; ++k) {
            spread[(o * heads + k / size) * room + k % size] = layer.attended.weight[o * width + k];
        }
    }
    packed.attended = pack(Linear{spread, layer.attended.bias}, heads * room);
    check(layer.outer.bias, width);
    packed.outer = pack(layer.outer, layer.inner.bias.size());
    return packed;
}

Transformer::Transformer(const Weights& weights, const Shape& shape, const LayerKernels& kernels,
                         bool whole)
    : shape_(shape), kernels_(kernels), words_(weights.words), transform_{} {
    if (shape.width == 0 || shape.heads == 0 || shape.width % shape.heads != 0 ||
        weights.words.size() % shape.width != 0 || weights.places.size() % shape.width != 0) {
        throw std::invalid_argument("width, heads and embeddings don't fit each other");
    }
    places_.assign(weights.places.begin(), weights.places.end());
    embedded_norm_ = pack(weights.embedded_norm);
    for (const auto& layer : weights.layers) {
        layers_.push_back(pack(layer));
        if (!whole) continue;
        auto& packed = layers_.back();
        for (auto* part : {&packed.projections, &packed.attended, &packed.inner, &packed.outer}) {
            round(*part);
        }
    }
    if (weights.transform.bias.empty()) return;
    check(weights.transform.bias, shape.width);
    transform_ = pack(weights.transform, shape.width);
    transform_norm_ = pack(weights.transform_norm);
}

// Whole documents that go through all layers together, and the memory for it.
class Transformer::Group {
public:
    explicit Group(const Transformer& transformer)
        : transformer_(transformer),
          kernels_(transformer.kernels_),
          width_(transformer.shape_.width),
          stride_(transformer.whole_blocks(width_)) {}

    void run(std::span<const std::int64_t> ids, std::span<const std::int64_t> offsets,
             float* states) {
        offsets_ = offsets;
        tokens_ = ids.size();
        embed(ids);
        for (const auto& layer : transformer_.layers_) {
            attend(layer);
            normalise(layer.attended_norm, true);
            linear(layer.inner, states_, stride_, inner_);
            kernels_.gelu(inner_.data(), tokens_ * layer.inner.outputs);
            linear(layer.outer, inner_, layer.inner.outputs, next_);
            normalise(layer.outer_norm, true);
        }
        if (transformer_.transform_.outputs != 0) {
            linear(transformer_.transform_, states_, stride_, next_);
            kernels_.gelu(next_.data(), tokens_ * stride_);
            normalise(transformer_.transform_norm_, false);
        }
        for (std::size_t t = 0; t < tokens_; ++t) {
            std::copy_n(states_.data() + t * stride_, width_, states + t * width_);
        }
    }

private:
    void embed(std::span<const std::int64_t> ids) {
        states_.resize(tokens_ * stride_);
        std::size_t document = 0;
        for (std::size_t t = 0; t < tokens_; ++t) {
            while (first(document + 1) <= t) ++document;
            const auto* word =
                transformer_.words_.data() + static_cast<std::size_t>(ids[t]) * width_;
            const auto* place = transformer_.places_.data() + (t - first(document)) * width_;
            auto* state = states_.data() + t * stride_;
            std::copy_n(word, width_, state);
            const auto& [scale, shift] = transformer_.embedded_norm_;
            kernels_.normalise(state, place, width_, scale.data(), shift.data(),
                               transformer_.shape_.epsilon);
        }
    }

    // A token of this group, of which the first has the number offsets_[0].
    [[nodiscard]] std::size_t first(std::size_t document) const noexcept {
        return static_cast<std::size_t>(offsets_[document] - offsets_[0]);
    }

    void linear(const Packed& layer, const std::vector<float>& input, std::size_t stride,
                std::vector<float>& output) {
        output.resize(tokens_ * layer.outputs);
        if (!layer.scales.empty()) return whole_linear(layer, input, stride, output);
        const auto block = kernels_.block;
        kernels_.multiply({input.data(), stride, layer.inputs, layer.weight.data(), block,
                           layer.inputs * block, layer.bias.data(), output.data(), layer.outputs,
                           layer.outputs},
                          tokens_);
    }

    // The same of whole numbers: exactly so in integers, and in float up to sums of 2^24.
    void whole_linear(const Packed& layer, const std::vector<float>& input, std::size_t stride,
                      std::vector<float>& output) {
        const auto groups = (layer.inputs + whole_depth - 1) / whole_depth;
        const auto length = groups * whole_depth;
        rounded_.assign(tokens_ * length, 0);
        scales_.resize(tokens_);
        offsets_of_tokens_.resize(tokens_);
        for (std::size_t t = 0; t < tokens_; ++t) {
            auto* row = rounded_.data() + t * length;
            scales_[t] = kernels_.round(input.data() + t * stride, layer.inputs, row);
            offsets_of_tokens_[t] = -whole_zero * std::accumulate(row, row + length, 0);
        }
        if (!layer.whole.empty()) {
            kernels_.multiply_whole(
                {rounded_.data(), groups, offsets_of_tokens_.data(), scales_.data(),
                 layer.whole.data(), layer.scales.data(), layer.bias.data(), output.data(),
                 layer.outputs, layer.outputs},
                tokens_);
            return;
        }
        floats_.assign(rounded_.begin(), rounded_.end());
        const auto block = kernels_.block;
        kernels_.multiply({floats_.data(), length, layer.inputs, layer.weight.data(), block,
                           layer.inputs * block, nullptr, output.data(), layer.outputs,
                           layer.outputs},
                          tokens_);
        for (std::size_t t = 0; t < tokens_; ++t) {
            auto* row = output.data() + t * layer.outputs;
            for (std::size_t o = 0; o < layer.outputs; ++o) {
                row[o] = row[o] * (scales_[t] * layer.scales[o]) + layer.bias[o];
            }
        }
    }

    // states_ = norm of next_, with what states_ was added to it if `residual`.
    void normalise(const PackedNorm& norm, bool residual) {
        for (std::size_t t = 0; t < tokens_; ++t) {
            const auto* before = states_.data() + t * stride_;
            kernels_.normalise(next_.data() + t * stride_, residual ? before : nullptr, width_,
                               norm.scale.data(), norm.shift.data(), transformer_.shape_.epsilon);
        }
        std::swap(states_, next_);
    }

    // next_ = attention over each document by itself.
    void attend(const PackedLayer& layer) {
        linear(layer.projections, states_, stride_, projections_);
        attended_.resize(tokens_ * layer.attended.inputs);
        for (std::size_t d = 0; d + 1 < offsets_.size(); ++d) {
            for (std::size_t head = 0; head < transformer_.shape_.heads; ++head) {
                attend(first(d), first(d + 1) - first(d), head);
            }
        }
        linear(layer.attended, attended_, layer.attended.inputs, next_);
    }

    // softmax(query . key) . value of one head over one document; queries come scaled.
    void attend(std::size_t begin, std::size_t tokens, std::size_t head) {
        const auto block = kernels_.block;
        const auto room = transformer_.head_room();
        const auto all = transformer_.shape_.heads * room;
        const auto size = width_ / transformer_.shape_.heads;
        const auto keys = transformer_.whole_blocks(tokens);
        const auto* query = projections_.data() + begin * 3 * all + head * room;
        const auto* value = query + 2 * all;
        keys_.assign(size * keys, 0.0F);
        for (std::size_t t = 0; t < tokens; ++t) {
            const auto* key = query + all + t * 3 * all;
            auto* column = keys_.data() + t / block * block * size + t % block;
            for (std::size_t k = 0; k < size; ++k) column[k * block] = key[k];
        }
        scores_.resize(query_tile * keys);
        for (std::size_t t = 0; t < tokens; t += query_tile) {
            const auto count = std::min(query_tile, tokens - t);
            kernels_.multiply({query + t * 3 * all, 3 * all, size, keys_.data(), block,
                               size * block, nullptr, scores_.data(), keys, keys},
                              count);
            float shares[query_tile];
            for (std::size_t i = 0; i < count; ++i) {
                shares[i] = kernels_.exponentials(scores_.data() + i * keys, tokens);
            }
            auto* output = attended_.data() + (begin + t) * all + head * room;
            kernels_.multiply(
                {scores_.data(), keys, tokens, value, 3 * all, block, nullptr, output, all, room},
                count);
            for (std::size_t i = 0; i < count; ++i) {
                for (std::size_t k = 0; k < room; ++k) output[i * all + k] *= shares[i];
            }
        }
    }

    const Transformer& transformer_;
    const LayerKernels& kernels_;
    std::size_t width_;
    std::size_t stride_;  // from state to state
    std::size_t tokens_ = 0;
    std::span<const std::int64_t> offsets_;
    std::vector<float> states_;
    std::vector<float> next_;
    std::vector<float> projections_;
    std::vector<float> attended_;
    std::vector<float> inner_;
    std::vector<float> keys_;
    std::vector<float> scores_;
    std::vector<std::int8_t> rounded_;
    std::vector<float> scales_;
    std::vector<std::int32_t> offsets_of_tokens_;
    std::vector<float> floats_;
};

void Transformer::states(std::span<const std::int64_t> ids, std::span<const std::int64_t> offsets,
                         std::span<float> states) const {
    const auto words = static_cast<std::int64_t>(words_.size() / width());
    const auto longest = static_cast<std::int64_t>(places_.size() / width());
    if (offsets.empty() || offsets.front() != 0 ||
        offsets.back() != static_cast<std::int64_t>(ids.size()) ||
        states.size() != ids.size() * width()) {
        throw std::invalid_argument("offsets must ascend from 0 to the number of tokens");
    }
    for (const auto id : ids) {
        if (id < 0 || id >= words) throw std::out_of_range("a token id has no embedding");
    }
    for (std::size_t d = 0; d + 1 < offsets.size(); ++d) {
        const auto length = offsets[d + 1] - offsets[d];
        if (length < 1) {
            throw std::invalid_argument("offsets must ascend from 0 to the number of tokens");
        }
        if (length > longest) throw std::out_of_range("a text is longer than the positions");
    }
    Group group(*this);
    for (std::size_t d = 0; d + 1 < offsets.size();) {
        auto end = d + 1;
        while (end + 1 < offsets.size() &&
               offsets[end + 1] - offsets[d] <= static_cast<std::int64_t>(group_tokens)) {
            ++end;
        }
        const auto begin = static_cast<std::size_t>(offsets[d]);
        const auto count = static_cast<std::size_t>(offsets[end] - offsets[d]);
        group.run(ids.subspan(begin, count), offsets.subspan(d, end - d + 1),
                  states.data() + begin * width());
        d = end;
    }
}

}  // namespace lsr::head
