// The loops of layers.hpp over vectors of any size; included by one file for each instruction set.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#include "layers.hpp"
#include "unrolled.hpp"

namespace lsr::head {
namespace {

// Functions here have internal linkage: each instruction set must keep its own.
template <typename Vector, typename Integers, typename Bytes, std::size_t Tile>
struct Layers {
    static constexpr std::size_t lanes = sizeof(Vector) / sizeof(float);
    static constexpr std::size_t block = 2 * lanes;

    [[gnu::always_inline]] static Vector load(const float* values) {
        Vector vector;
        std::memcpy(&vector, values, sizeof(vector));
        return vector;
    }

    [[gnu::always_inline]] static void store(float* values, Vector vector) {
        std::memcpy(values, &vector, sizeof(vector));
    }

    static float sum(Vector vector) {
        float total = 0;
        for (std::size_t lane = 0; lane < lanes; ++lane) total += vector[lane];
        return total;
    }

    // For values up to 88; e to the power of what is below -87 is taken for that of -87. Cephes'
    // expf: the rest of x / log(2) in a polynomial. What is no number stays none.
    [[gnu::always_inline]] static Vector exp(Vector x) {
        x = x < -87.0F ? Vector{} - 87.0F : x;
        constexpr float shift = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
        const Vector whole = (x * 1.44269504F + shift) - shift;
        const Vector rest = (x - whole * 0.693359375F) + whole * 2.12194440e-4F;
        Vector p = Vector{} + 1.9875691500e-4F;
        p = p * rest + 1.3981999507e-3F;
        p = p * rest + 8.3334519073e-3F;
        p = p * rest + 4.1665795894e-2F;
        p = p * rest + 1.6666665459e-1F;
        p = p * rest + 5.0000001201e-1F;
        p = p * rest * rest + rest + 1.0F;
        const Integers power = (__builtin_convertvector(whole, Integers) + 127) << 23;
        Vector scale;
        std::memcpy(&scale, &power, sizeof(scale));
        return p * scale;
    }

    template <std::size_t Tokens>
    static void multiply_tile(const Product& product, const float* input, const float* weight,
                              const float* bias, float* output) {
        constexpr std::make_index_sequence<Tokens> each_token;
        Vector sums[Tokens][2];
        const Vector low = bias == nullptr ? Vector{} : load(bias);
        const Vector high = bias == nullptr ? Vector{} : load(bias + lanes);
        unrolled(each_token, [&](auto t) {
            sums[t][0] = low;
            sums[t][1] = high;
        });
        const auto stride = product.input_stride;
        for (std::size_t k = 0; k < product.inputs; ++k) {
            const Vector w0 = load(weight + k * product.weight_stride);
            const Vector w1 = load(weight + k * product.weight_stride + lanes);
            unrolled(each_token, [&](auto t) {
                const float value = input[t * stride + k];
                sums[t][0] += value * w0;
                sums[t][1] += value * w1;
            });
        }
        unrolled(each_token, [&](auto t) {
            store(output + t * product.output_stride, sums[t][0]);
            store(output + t * product.output_stride + lanes, sums[t][1]);
        });
    }

    static void multiply(const Product& product, std::size_t tokens) {
        for (std::size_t first = 0; first < product.outputs; first += block) {
            const auto* weight = product.weight + first / block * product.block_stride;
            const auto* bias = product.bias == nullptr ? nullptr : product.bias + first;
            const auto* input = product.input;
            auto* output = product.output + first;
            auto left = tokens;
            const auto run = [&]<std::size_t Tokens>(std::integral_constant<std::size_t, Tokens>) {
                for (; left >= Tokens; left -= Tokens) {
                    multiply_tile<Tokens>(product, input, weight, bias, output);
                    input += Tokens * product.input_stride;
                    output += Tokens * product.output_stride;
                }
            };
            run(std::integral_constant<std::size_t, Tile>{});
            run(std::integral_constant<std::size_t, 3>{});
            run(std::integral_constant<std::size_t, 1>{});
        }
    }

    static void gelu(float* values, std::size_t count) {
        for (std::size_t i = 0; i < count; i += lanes) {
            const Vector x = load(values + i);
            const Vector z = (x < 0.0F ? -x : x) * 0.707106781F;
            const Vector t = 1.0F / (1.0F + 0.3275911F * z);
            Vector p = Vector{} + 1.061405429F;
            p = p * t - 1.453152027F;
            p = p * t + 1.421413741F;
            p = p * t - 0.284496736F;
            p = p * t + 0.254829592F;
            // Half of what erf lacks to 1: the share of x that a negative x keeps.
            const Vector rest = 0.5F * p * t * exp(-z * z);
            store(values + i, x < 0.0F ? x * rest : x - x * rest);
        }
    }

    static float exponentials(float* values, std::size_t count) {
        const auto room = (count + lanes - 1) / lanes * lanes;
        for (auto i = count; i < room; ++i) values[i] = -std::numeric_limits<float>::infinity();
        Vector tops = load(values);
        for (std::size_t i = lanes; i < room; i += lanes) {
            const Vector next = load(values + i);
            tops = next > tops ? next : tops;
        }
        float largest = tops[0];
        for (std::size_t lane = 1; lane < lanes; ++lane) {
            largest = tops[lane] > largest ? tops[lane] : largest;
        }
        Vector total{};
        for (std::size_t i = 0; i < room; i += lanes) {
            const Vector e = exp(load(values + i) - largest);
            store(values + i, e);
            total += e;
        }
        return 1.0F / sum(total);
    }

    static void normalise(float* row, const float* other, std::size_t width, const float* scale,
                          const float* shift, float epsilon) {
        const auto whole = width / lanes * lanes;
        const auto count = static_cast<float>(width);
        if (other != nullptr) {
            for (std::size_t i = 0; i < width; ++i) row[i] += other[i];
        }
        Vector totals{};
        for (std::size_t i = 0; i < whole; i += lanes) totals += load(row + i);
        float total = sum(totals);
        for (auto i = whole; i < width; ++i) total += row[i];
        const float mean = total / count;
        Vector squares{};
        for (std::size_t i = 0; i < whole; i += lanes) {
            const Vector apart = load(row + i) - mean;
            squares += apart * apart;
        }
        float variance = sum(squares);
        for (auto i = whole; i < width; ++i) variance += (row[i] - mean) * (row[i] - mean);
        const float factor = 1.0F / std::sqrt(variance / count + epsilon);
        for (std::size_t i = 0; i < width; ++i) {
            row[i] = (row[i] - mean) * factor * scale[i] + shift[i];
        }
    }

    static float round(const float* row, std::size_t count, std::int8_t* whole) {
        const auto vectors = count / lanes * lanes;
        Vector tops{};
        for (std::size_t i = 0; i < vectors; i += lanes) {
            const Vector x = load(row + i);
            const Vector size = x < 0.0F ? -x : x;
            tops = size > tops ? size : tops;
        }
        float largest = 0;
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            largest = tops[lane] > largest ? tops[lane] : largest;
        }
        for (auto i = vectors; i < count; ++i) largest = std::max(largest, std::fabs(row[i]));
        const float factor = largest > 0.0F ? static_cast<float>(whole_largest) / largest : 0.0F;
        for (std::size_t i = 0; i < vectors; i += lanes) {
            constexpr float shift = 12582912.0F;  // as in exp
            const Vector near = (load(row + i) * factor + shift) - shift;
            const Bytes bytes =
                __builtin_convertvector(__builtin_convertvector(near, Integers), Bytes);
            std::memcpy(whole + i, &bytes, sizeof(bytes));
        }
        for (auto i = vectors; i < count; ++i) {
            whole[i] = static_cast<std::int8_t>(std::lrint(row[i] * factor));
        }
        return largest / static_cast<float>(whole_largest);
    }

    static constexpr LayerKernels kernels(
        std::string_view name,
        void (*multiply_whole)(const WholeProduct&, std::size_t) = nullptr) {
        return {name,  block, multiply, multiply_whole,
                round, gelu,  exponentials, normalise};
    }
};

}  // namespace
}  // namespace lsr::head
