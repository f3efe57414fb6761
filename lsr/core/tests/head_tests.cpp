// The projection against a loop over all logits, the transformer's documents together against
// each alone, and products of whole numbers against a loop, at each set of kernels; run under
// sanitizers.
// Exits with 1 and the first difference.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "../projection.hpp"
#include "../transformer.hpp"

namespace {

using namespace lsr::head;

void fail(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

struct Problem {
    std::size_t width;
    std::size_t terms;
    std::vector<float> states;
    std::vector<std::int64_t> offsets{0};
    std::vector<float> weight;
    std::vector<float> bias;
    std::vector<float> center;
    float floor;
};

Problem make(std::mt19937& random) {
    std::normal_distribution<float> normal;
    const auto below = [&random](std::size_t end) { return random() % end; };
    Problem problem{1 + below(70), 1 + below(100), {}, {0}, {}, {}, {}, 0.0F};
    const auto documents = 1 + below(4);
    for (std::size_t d = 0; d < documents; ++d) {
        problem.offsets.push_back(problem.offsets.back() + 1 + static_cast<long>(below(40)));
    }
    const auto tokens = static_cast<std::size_t>(problem.offsets.back());
    for (std::size_t i = 0; i < tokens * problem.width; ++i) {
        problem.states.push_back(normal(random) * std::exp(normal(random)));
    }
    for (std::size_t i = 0; i < problem.terms * problem.width; ++i) {
        problem.weight.push_back(normal(random));
    }
    if (below(2) == 0) {
        for (std::size_t i = 0; i < problem.terms; ++i) problem.bias.push_back(normal(random) - 3);
    }
    problem.center.assign(problem.width, below(2) == 0 ? 0.0F : normal(random));
    problem.floor = normal(random);
    return problem;
}

// The largest logit of a term, its products added in the order of the coordinates.
float dot(const Problem& problem, std::size_t token, std::size_t term) {
    float sum = 0;
    for (std::size_t k = 0; k < problem.width; ++k) {
        sum = std::fma(problem.states[token * problem.width + k],
                       problem.weight[term * problem.width + k], sum);
    }
    return sum;
}

// The first token of the document that has the term's largest logit.
std::int64_t first_with(const Problem& problem, std::size_t document, std::size_t term) {
    auto best = problem.offsets[document];
    for (auto token = best; token < problem.offsets[document + 1]; ++token) {
        if (dot(problem, static_cast<std::size_t>(token), term) >
            dot(problem, static_cast<std::size_t>(best), term)) {
            best = token;
        }
    }
    return best;
}

float largest_logit(const Problem& problem, std::size_t document, std::size_t term) {
    const auto token = first_with(problem, document, term);
    const float largest = dot(problem, static_cast<std::size_t>(token), term);
    return problem.bias.empty() ? largest : largest + problem.bias[term];
}

void check(const Problem& problem, const Kernels& kernels) {
    const Projection projection(problem.weight, problem.bias, problem.center, kernels);
    Pooled pooled;
    std::int64_t screened = 0;
    projection.largest(problem.states, problem.offsets, problem.floor, pooled, screened);
    const std::string name(kernels.name);
    if (pooled.ends.size() + 1 != problem.offsets.size()) fail(name + ": not a row a document");
    std::size_t place = 0;
    for (std::size_t d = 0; d + 1 < problem.offsets.size(); ++d) {
        for (std::size_t term = 0; term < problem.terms; ++term) {
            const auto expected = largest_logit(problem, d, term);
            if (!(expected > problem.floor)) continue;
            if (place == pooled.terms.size() ||
                pooled.terms[place] != static_cast<std::int32_t>(term)) {
                fail(name + ": misses term " + std::to_string(term));
            }
            if (pooled.values[place] != expected) fail(name + ": not the same bits");
            if (pooled.tokens[place] != first_with(problem, d, term)) {
                fail(name + ": not the first token that has it");
            }
            ++place;
        }
        if (pooled.ends[d] != static_cast<std::int64_t>(place)) fail(name + ": too many terms");
    }
    if (screened < static_cast<std::int64_t>(place)) fail(name + ": counts too few");
}

// Arrays of a transformer, of which weights hold spans.
struct Arrays {
    std::mt19937& random;
    std::vector<std::vector<float>> held;

    std::span<const float> make(std::size_t size) {
        std::normal_distribution<float> normal(0.0F, 0.3F);
        std::vector<float> values(size);
        for (auto& value : values) value = normal(random);
        return held.emplace_back(std::move(values));
    }
    Linear linear(std::size_t outputs, std::size_t inputs) {
        return {make(outputs * inputs), make(outputs)};
    }
    Norm norm(std::size_t width) { return {make(width), make(width)}; }
};

void check_transformer(std::mt19937& random) {
    constexpr std::size_t words = 20;
    constexpr std::size_t longest = 300;
    const std::size_t heads = 1 + random() % 3;
    const std::size_t width = heads * (1 + random() % 40);
    const std::size_t inner = 1 + random() % 70;
    Arrays arrays{random, {}};
    Weights weights{arrays.make(words * width), arrays.make(longest * width), arrays.norm(width),
                    {}, {}, {}};
    for (std::size_t layer = random() % 3; layer > 0; --layer) {
        weights.layers.push_back({arrays.linear(width, width), arrays.linear(width, width),
                                  arrays.linear(width, width), arrays.linear(width, width),
                                  arrays.norm(width), arrays.linear(inner, width),
                                  arrays.linear(width, inner), arrays.norm(width)});
    }
    weights.transform = arrays.linear(width, width);
    weights.transform_norm = arrays.norm(width);
    std::vector<std::int64_t> offsets{0};
    for (auto count = 1 + random() % 8; count > 0; --count) {
        offsets.push_back(offsets.back() + 1 + static_cast<std::int64_t>(random() % longest));
    }
    std::vector<std::int64_t> ids(static_cast<std::size_t>(offsets.back()));
    for (auto& id : ids) id = static_cast<std::int64_t>(random() % words);
    for (const auto* name : {"scalar", "avx2", "avx512"}) {
        const auto* kernels = layer_kernels_named(name);
        if (kernels == nullptr) continue;
        const bool whole = random() % 2 == 0;
        const Transformer transformer(weights, {width, heads, 1e-12F}, *kernels, whole);
        std::vector<float> together(ids.size() * width);
        transformer.states(ids, offsets, together);
        for (std::size_t d = 0; d + 1 < offsets.size(); ++d) {
            const auto begin = static_cast<std::size_t>(offsets[d]);
            const auto count = static_cast<std::size_t>(offsets[d + 1]) - begin;
            std::vector<float> alone(count * width);
            transformer.states(std::span(ids).subspan(begin, count),
                               std::vector<std::int64_t>{0, static_cast<std::int64_t>(count)},
                               alone);
            for (std::size_t i = 0; i < alone.size(); ++i) {
                const float difference = std::abs(alone[i] - together[begin * width + i]);
                if (!(difference < 1e-3F)) fail(std::string(name) + ": a document alone differs");
            }
        }
    }
}

// A row's whole numbers, each the nearest, of which the largest is whole_largest.
void check_round(std::mt19937& random, const LayerKernels& kernels) {
    std::normal_distribution<float> normal;
    std::vector<float> row(random() % 70);
    const float size = random() % 9 == 0 ? 0.0F : std::exp(4 * normal(random));
    for (auto& value : row) value = size * normal(random);
    std::vector<std::int8_t> whole(row.size());
    const float scale = kernels.round(row.data(), row.size(), whole.data());
    int largest = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
        largest = std::max(largest, std::abs(static_cast<int>(whole[i])));
        const float off = std::abs(row[i] - scale * static_cast<float>(whole[i]));
        if (!(off <= 0.5001F * scale)) fail(std::string(kernels.name) + ": round is off");
    }
    const int wanted = row.empty() || size == 0 ? 0 : whole_largest;
    if (largest != wanted) fail(std::string(kernels.name) + ": round has no largest number");
}

void check_whole(std::mt19937& random, const LayerKernels& kernels) {
    if (kernels.multiply_whole == nullptr) return;
    std::uniform_real_distribution<float> share(0.01F, 1.0F);
    const auto tokens = 1 + random() % 40;
    const auto groups = 1 + random() % 50;
    const auto length = groups * whole_depth;
    const auto outputs = kernels.block * (1 + random() % 3);
    std::vector<std::int8_t> input(tokens * length);
    std::vector<std::uint8_t> weight(outputs * length);
    for (auto& value : input) value = static_cast<std::int8_t>(random() % 255 - 127);
    for (auto& value : weight) value = static_cast<std::uint8_t>(1 + random() % 255);
    std::vector<std::int32_t> offsets(tokens);
    std::vector<float> input_scales(tokens), scales(outputs), bias(outputs);
    for (auto* values : {&input_scales, &scales, &bias}) {
        for (auto& value : *values) value = share(random);
    }
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t k = 0; k < length; ++k) offsets[t] -= whole_zero * input[t * length + k];
    }
    std::vector<float> output(tokens * outputs);
    kernels.multiply_whole({input.data(), groups, offsets.data(), input_scales.data(),
                            weight.data(), scales.data(), bias.data(), output.data(), outputs,
                            outputs},
                           tokens);
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t o = 0; o < outputs; ++o) {
            const auto* block = weight.data() + o / kernels.block * kernels.block * length;
            int sum = 0;
            for (std::size_t k = 0; k < length; ++k) {
                const auto place = (k / whole_depth * kernels.block + o % kernels.block);
                sum += input[t * length + k] *
                       (block[place * whole_depth + k % whole_depth] - whole_zero);
            }
            const float wanted = bias[o] + static_cast<float>(sum) * input_scales[t] * scales[o];
            if (!(std::abs(output[t * outputs + o] - wanted) <= 1e-5F * (1 + std::abs(wanted)))) {
                fail(std::string(kernels.name) + ": a product of whole numbers differs");
            }
        }
    }
}

}  // namespace

int main() {
    std::mt19937 random(7);
    for (int round = 0; round < 300; ++round) {
        const auto problem = make(random);
        for (const auto* name : {"scalar", "avx2", "avx512"}) {
            if (const auto* kernels = kernels_named(name)) check(problem, *kernels);
        }
    }
    for (int round = 0; round < 40; ++round) check_transformer(random);
    for (int round = 0; round < 200; ++round) {
        for (const auto* name : {"scalar", "avx2", "avx512"}) {
            const auto* kernels = layer_kernels_named(name);
            if (kernels == nullptr) continue;
            check_round(random, *kernels);
            check_whole(random, *kernels);
        }
    }
    std::puts("ok");
}
