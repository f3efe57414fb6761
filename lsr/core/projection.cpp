#include "projection.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace lsr::head {
namespace {

constexpr std::size_t widest = 65'536;  // so that 255 * 127 * width stays below 2^31
// Tokens whose integers are read again and again for each block of terms should stay in the cache.
constexpr std::size_t batch_bytes = 256 << 10;

constexpr std::size_t round_up(std::size_t value, std::size_t unit) {
    return (value + unit - 1) / unit * unit;
}

// More than a float computation of `width` products and a few sums can be off, relative to the
// sum of the products' magnitudes.
float rounding_of(std::size_t width) {
    return static_cast<float>(width + 16) * std::numeric_limits<float>::epsilon();
}

// Not below the double.
float up(double value) {
    return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

double norm_of(std::span<const float> values) {
    double sum = 0;
    for (const auto value : values) sum += double{value} * value;
    return std::sqrt(sum);
}

double sum_of(const std::array<double, lanes>& parts) {
    double sum = 0;
    for (const auto part : parts) sum += part;
    return sum;
}

// The nearest integer, even where two are equally near, of what is far below 2^22.
float nearest(float value) {
    constexpr float whole = 12'582'912.0F;  // 1.5 * 2^23: no room for a fraction
    return (value + whole) - whole;
}

float largest_magnitude(std::span<const float> values) {
    std::array<float, lanes> largest{};
    const auto whole = values.size() / lanes * lanes;
    for (std::size_t begin = 0; begin < whole; begin += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            largest[lane] = std::max(largest[lane], std::abs(values[begin + lane]));
        }
    }
    for (const auto value : values.subspan(whole)) largest[0] = std::max(largest[0], std::abs(value));
    return *std::max_element(largest.begin(), largest.end());
}

}  // namespace

Projection::Projection(std::span<const float> weight, std::span<const float> bias,
                       std::span<const float> center, const Kernels& kernels)
    : weight_(weight),
      bias_(bias),
      center_(center.begin(), center.end()),
      kernels_(kernels),
      groups_(round_up(center.size(), depth * group_unit) / depth) {
    if (center.empty() || center.size() > widest) {
        throw std::invalid_argument("a projection is 1 to 65,536 wide");
    }
    if (weight.size() % width() != 0 || (!bias.empty() && bias.size() != terms())) {
        throw std::invalid_argument("the shapes of weight, bias and center do not fit");
    }
    const auto padded = round_up(terms(), block_terms);
    packed_.assign(padded * groups_ * depth, static_cast<std::uint8_t>(kernels.weight_zero()));
    for (auto* values : {&scale_, &norm_, &error_}) values->assign(padded, 0.0F);
    constant_.assign(padded, -std::numeric_limits<float>::infinity());
    const auto limit = static_cast<float>(kernels.weight_limit);
    const auto rounding = double{rounding_of(width())};
    const auto center_norm = norm_of(center);
    std::vector<std::int32_t> levels(width());
    for (std::size_t term = 0; term < terms(); ++term) {
        const auto row = weight.subspan(term * width(), width());
        const auto largest = largest_magnitude(row);
        const float scale = largest > 0 ? largest / limit : 1.0F;
        auto* packed = packed_.data() + term / lanes * groups_ * lanes * depth +
                       term % lanes * depth;
        const double bias_size = bias.empty() ? 0.0 : std::abs(double{bias[term]});
        std::array<double, lanes> errors{};
        std::array<double, lanes> products{};
        std::array<double, lanes> squares{};
        for (std::size_t begin = 0; begin < width(); begin += lanes) {
            const auto count = std::min(lanes, width() - begin);
            for (std::size_t lane = 0; lane < count; ++lane) {
                const auto k = begin + lane;
                const auto level = std::clamp(nearest(row[k] / scale), -limit, limit);
                levels[k] = static_cast<std::int32_t>(level) + kernels.weight_zero();
                const double rest = double{row[k]} - double{level} * scale;
                errors[lane] += rest * rest;
                products[lane] += double{row[k]} * center[k];
                squares[lane] += double{row[k]} * row[k];
            }
        }
        for (std::size_t k = 0; k < width(); ++k) {
            packed[k / depth * lanes * depth + k % depth] = static_cast<std::uint8_t>(levels[k]);
        }
        const double error = sum_of(errors);
        const double constant = (bias.empty() ? 0.0 : double{bias[term]}) + sum_of(products);
        const double norm = std::sqrt(sum_of(squares));
        scale_[term] = scale;
        norm_[term] = up(norm);
        error_[term] = up(std::sqrt(error));
        if (!std::isfinite(norm) || !std::isfinite(constant)) {
            throw std::invalid_argument("weight, bias and center must be finite");
        }
        constant_[term] = up(constant + rounding * (bias_size + std::abs(constant) +
                                                    norm * center_norm));
    }
}

TermBounds Projection::bounds_of(std::size_t block) const noexcept {
    const auto first = block * block_terms;
    return {scale_.data() + first, constant_.data() + first, norm_.data() + first,
            error_.data() + first};
}

struct Projection::Document {
    std::span<const float> states;
    std::int64_t first_token;  // among all states
    std::size_t first_tile;  // among the tiles of its batch
    std::size_t tiles;
    DocumentBounds bounds;
    std::vector<std::int32_t> passing;
};

// Documents that are screened together, so that a block of weights is read once for all.
class Projection::Batch {
public:
    explicit Batch(const Projection& projection)
        : projection_(projection), kernels_(projection.kernels_), width_(projection.width()) {}

    [[nodiscard]] bool full() const noexcept { return values_.size() >= batch_bytes; }

    void add(std::span<const float> states, std::int64_t first_token) {
        const auto tokens = states.size() / width_;
        const auto tile = kernels_.tile;
        Document document{states, first_token, offsets_.size() / tile,
                          round_up(tokens, tile) / tile, {}, {}};
        const auto& center = projection_.center_;
        float largest = 0;
        bool finite = true;
        for (std::size_t token = 0; token < tokens; ++token) {
            for (std::size_t k = 0; k < width_; ++k) {
                const float value = std::abs(states[token * width_ + k] - center[k]);
                finite = finite && std::isfinite(value);
                largest = std::max(largest, value);
            }
        }
        if (!finite) {
            document.tiles = 0;
            documents_.push_back(std::move(document));
            return;
        }
        const float scale = largest > 0 ? largest / static_cast<float>(kernels_.state_limit) : 1.0F;
        quantise(document, tokens, scale);
        documents_.push_back(std::move(document));
    }

    void flush(float floor, Pooled& pooled, std::int64_t& screened) {
        const auto groups = projection_.groups_;
        const auto block_bytes = block_terms * groups * depth;
        const auto blocks = projection_.packed_.size() / block_bytes;
        for (std::size_t block = 0; block < blocks; ++block) {
            const auto* weights = projection_.packed_.data() + block * block_bytes;
            const auto terms = projection_.bounds_of(block);
            for (auto& document : documents_) {
                const ScreenTokens tokens{
                    values_.data() + document.first_tile * kernels_.tile * groups * depth,
                    offsets_.data() + document.first_tile * kernels_.tile, document.tiles};
                if (tokens.tiles == 0) continue;
                auto bits =
                    kernels_.screen(weights, groups, tokens, terms, document.bounds, floor);
                for (; bits != 0; bits &= bits - 1) {
                    const auto term = block * block_terms +
                                      static_cast<std::size_t>(__builtin_ctz(bits));
                    if (term < projection_.terms()) {
                        document.passing.push_back(static_cast<std::int32_t>(term));
                    }
                }
            }
        }
        for (auto& document : documents_) {
            screened += static_cast<std::int64_t>(document.passing.size());
            refine(document, floor, pooled);
            pooled.ends.push_back(static_cast<std::int64_t>(pooled.terms.size()));
        }
        documents_.clear();
        values_.clear();
        offsets_.clear();
    }

private:
    // The last tile is filled up with the last token, which can't change a maximum.
    void quantise(Document& document, std::size_t tokens, float scale) {
        const auto tile = kernels_.tile;
        const auto stride = projection_.groups_ * depth;
        const auto first = document.first_tile * tile;
        values_.resize((first + document.tiles * tile) * stride, 0);
        offsets_.resize(first + document.tiles * tile);
        const auto limit = static_cast<float>(kernels_.state_limit);
        double largest_error = 0;
        double largest_norm = 0;
        double largest_state = 0;
        for (std::size_t place = 0; place < document.tiles * tile; ++place) {
            const auto token = std::min(place, tokens - 1);
            const auto* state = document.states.data() + token * width_;
            auto* values = values_.data() + (first + place / tile * tile) * stride +
                           place % tile * depth;
            std::int32_t sum = 0;
            double error = 0;
            double norm = 0;
            double whole = 0;
            for (std::size_t k = 0; k < width_; ++k) {
                const float value = state[k] - projection_.center_[k];
                const float level = std::clamp(std::nearbyint(value / scale), -limit, limit);
                values[k / depth * tile * depth + k % depth] = static_cast<std::int8_t>(level);
                sum += static_cast<std::int32_t>(level);
                const float held = level * scale;
                const float rest = value - held;
                error += double{rest} * rest;
                norm += double{held} * held;
                whole += double{state[k]} * state[k];
            }
            offsets_[first + place] = -kernels_.weight_zero() * sum;
            largest_error = std::max(largest_error, error);
            largest_norm = std::max(largest_norm, norm);
            largest_state = std::max(largest_state, whole);
        }
        const double held = std::sqrt(largest_norm);
        const double rounding = double{rounding_of(width_)} *
                                (held + std::sqrt(largest_state) + norm_of(projection_.center_));
        document.bounds = {scale, up(1.00001 * std::sqrt(largest_error) + 2 * rounding),
                           up(1.00001 * held + rounding)};
    }

    // Computes in float what passed the screen.
    void refine(const Document& document, float floor, Pooled& pooled) {
        if (document.tiles == 0) {
            pooled.terms.push_back(0);
            pooled.values.push_back(std::numeric_limits<float>::quiet_NaN());
            pooled.tokens.push_back(document.first_token);
            return;
        }
        pack(document);
        rows_.resize(width_ * lanes);
        Winners winners;
        for (std::size_t begin = 0; begin < document.passing.size(); begin += lanes) {
            const auto count = std::min(lanes, document.passing.size() - begin);
            for (std::size_t lane = 0; lane < lanes; ++lane) {
                const auto chosen = begin + std::min(lane, count - 1);
                const auto term = static_cast<std::size_t>(document.passing[chosen]);
                const auto* row = projection_.weight_.data() + term * width_;
                for (std::size_t k = 0; k < width_; ++k) rows_[k * lanes + lane] = row[k];
            }
            kernels_.project(rows_.data(), width_, states_.data(), document.tiles, winners);
            for (std::size_t lane = 0; lane < count; ++lane) {
                const auto term = document.passing[begin + lane];
                const auto& bias = projection_.bias_;
                const float logit =
                    winners.largest[lane] + (bias.empty() ? 0.0F : bias[static_cast<std::size_t>(term)]);
                if (logit > floor) {
                    pooled.terms.push_back(term);
                    pooled.values.push_back(logit);
                    pooled.tokens.push_back(document.first_token + winners.tokens[lane]);
                }
            }
        }
    }

    void pack(const Document& document) {
        const auto tile = kernels_.tile;
        const auto tokens = document.states.size() / width_;
        states_.resize(document.tiles * tile * width_);
        for (std::size_t place = 0; place < document.tiles * tile; ++place) {
            const auto* state = document.states.data() + std::min(place, tokens - 1) * width_;
            auto* packed = states_.data() + place / tile * tile * width_ + place % tile;
            for (std::size_t k = 0; k < width_; ++k) packed[k * tile] = state[k];
        }
    }

    const Projection& projection_;
    const Kernels& kernels_;
    std::size_t width_;
    std::vector<Document> documents_;
    std::vector<std::int8_t> values_;
    std::vector<std::int32_t> offsets_;
    std::vector<float> states_;
    std::vector<float> rows_;
};

void Projection::largest(std::span<const float> states, std::span<const std::int64_t> offsets,
                         float floor, Pooled& pooled, std::int64_t& screened) const {
    const auto tokens = static_cast<std::int64_t>(states.size() / width());
    if (states.size() % width() != 0 || offsets.empty() || offsets.front() != 0 ||
        offsets.back() != tokens ||
        std::adjacent_find(offsets.begin(), offsets.end(), std::greater_equal<>()) !=
            offsets.end()) {
        throw std::invalid_argument("offsets must ascend from 0 to the number of states");
    }
    Batch batch(*this);
    for (std::size_t d = 0; d + 1 < offsets.size(); ++d) {
        const auto begin = static_cast<std::size_t>(offsets[d]) * width();
        const auto end = static_cast<std::size_t>(offsets[d + 1]) * width();
        batch.add(states.subspan(begin, end - begin), offsets[d]);
        if (batch.full()) batch.flush(floor, pooled, screened);
    }
    batch.flush(floor, pooled, screened);
}

}  // namespace lsr::head
