// The projection against a loop over all logits, at each set of kernels; run under sanitizers.
// Exits with 1 and the first difference.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../projection.hpp"

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
float largest_logit(const Problem& problem, std::size_t document, std::size_t term) {
    float largest = -INFINITY;
    for (auto token = problem.offsets[document]; token < problem.offsets[document + 1]; ++token) {
        float sum = 0;
        for (std::size_t k = 0; k < problem.width; ++k) {
            sum = std::fma(problem.states[static_cast<std::size_t>(token) * problem.width + k],
                           problem.weight[term * problem.width + k], sum);
        }
        largest = std::max(largest, sum);
    }
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
            ++place;
        }
        if (pooled.ends[d] != static_cast<std::int64_t>(place)) fail(name + ": too many terms");
    }
    if (screened < static_cast<std::int64_t>(place)) fail(name + ": counts too few");
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
    std::puts("ok");
}
