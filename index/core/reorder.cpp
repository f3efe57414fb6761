#include "reorder.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <future>
#include <numeric>
#include <utility>

namespace lsr {
namespace {

constexpr std::size_t heaviest_terms = 24;  // of a document; more give no tighter bounds
constexpr int most_iterations = 12;
constexpr std::size_t smallest_part = 8;
constexpr std::size_t local_part = 4096;  // from here down, terms are renumbered to fit the cache

struct TermSets {
    std::vector<std::int64_t> offsets{0};
    std::vector<std::uint32_t> terms;
    std::size_t term_count = 0;

    [[nodiscard]] std::span<const std::uint32_t> of(DocId document) const {
        const auto begin = static_cast<std::size_t>(offsets[document]);
        const auto end = static_cast<std::size_t>(offsets[document + std::size_t{1}]);
        return {terms.data() + begin, end - begin};
    }
};

class Logarithms {
public:
    Logarithms() {
        for (std::size_t i = 1; i < table_.size(); ++i) {
            table_[i] = std::log2(static_cast<float>(i));
        }
    }
    [[nodiscard]] float operator()(std::int32_t x) const {
        const auto place = static_cast<std::size_t>(x);
        return place < table_.size() ? table_[place] : std::log2(static_cast<float>(x));
    }

private:
    std::array<float, 1 << 14> table_{};
};

const Logarithms& logarithms() {
    static const Logarithms table;
    return table;
}

struct Gain {
    float gain;
    DocId document;
};

// Scratch space of one thread: degrees and gains by term, gains by document.
struct Workspace {
    std::vector<std::int32_t> left_degree, right_degree;
    std::vector<float> left_gain, right_gain;
    std::vector<std::uint32_t> touched;
    std::vector<Gain> left, right;

    explicit Workspace(std::size_t terms)
        : left_degree(terms), right_degree(terms), left_gain(terms), right_gain(terms) {}
};

void count_degrees(std::span<const DocId> part, const TermSets& sets, Workspace& work) {
    work.touched.clear();
    const auto half = part.size() / 2;
    for (std::size_t i = 0; i < part.size(); ++i) {
        auto& degree = i < half ? work.left_degree : work.right_degree;
        for (const auto term : sets.of(part[i])) {
            if ((work.left_degree[term] | work.right_degree[term]) == 0) {
                work.touched.push_back(term);
            }
            ++degree[term];
        }
    }
}

// What moving one document with a term to the other half saves in bits of gaps, term by term.
void weigh_moves(Workspace& work, float log_left, float log_right) {
    const auto& log = logarithms();
    for (const auto term : work.touched) {
        const auto left = work.left_degree[term];
        const auto right = work.right_degree[term];
        const auto cost = [&](std::int32_t l, std::int32_t r) {
            return static_cast<float>(l) * (log_left - log(l + 1)) +
                   static_cast<float>(r) * (log_right - log(r + 1));
        };
        const auto now = cost(left, right);
        work.left_gain[term] = left > 0 ? now - cost(left - 1, right + 1) : 0.0F;
        work.right_gain[term] = right > 0 ? now - cost(left + 1, right - 1) : 0.0F;
    }
}

void rank_moves(std::span<const DocId> half, const TermSets& sets, const std::vector<float>& gain,
                std::vector<Gain>& ranked) {
    ranked.resize(half.size());
    for (std::size_t i = 0; i < half.size(); ++i) {
        float sum = 0;
        for (const auto term : sets.of(half[i])) sum += gain[term];
        ranked[i] = {sum, half[i]};
    }
    std::sort(ranked.begin(), ranked.end(), [](const Gain& a, const Gain& b) {
        return a.gain != b.gain ? a.gain > b.gain : a.document < b.document;
    });
}

std::size_t swap_while_gaining(const TermSets& sets, Workspace& work) {
    const auto pairs = std::min(work.left.size(), work.right.size());
    std::size_t swapped = 0;
    while (swapped < pairs && work.left[swapped].gain + work.right[swapped].gain > 0) {
        for (const auto term : sets.of(work.left[swapped].document)) {
            --work.left_degree[term];
            ++work.right_degree[term];
        }
        for (const auto term : sets.of(work.right[swapped].document)) {
            ++work.left_degree[term];
            --work.right_degree[term];
        }
        std::swap(work.left[swapped].document, work.right[swapped].document);
        ++swapped;
    }
    return swapped;
}

void bisect_once(std::span<DocId> part, const TermSets& sets, Workspace& work) {
    const auto half = part.size() / 2;
    const auto log_left = std::log2(static_cast<float>(half));
    const auto log_right = std::log2(static_cast<float>(part.size() - half));
    count_degrees(part, sets, work);
    for (int iteration = 0; iteration < most_iterations; ++iteration) {
        weigh_moves(work, log_left, log_right);
        rank_moves(part.first(half), sets, work.left_gain, work.left);
        rank_moves(part.subspan(half), sets, work.right_gain, work.right);
        const auto swapped = swap_while_gaining(sets, work);
        for (std::size_t i = 0; i < half; ++i) part[i] = work.left[i].document;
        for (std::size_t i = half; i < part.size(); ++i) part[i] = work.right[i - half].document;
        if (swapped * 100 < half || swapped < 2) break;
    }
    for (const auto term : work.touched) work.left_degree[term] = work.right_degree[term] = 0;
}

void bisect_down(std::span<DocId> part, const TermSets& sets, Workspace& work) {
    if (part.size() <= smallest_part) {
        std::sort(part.begin(), part.end());
        return;
    }
    bisect_once(part, sets, work);
    bisect_down(part.first(part.size() / 2), sets, work);
    bisect_down(part.subspan(part.size() / 2), sets, work);
}

// The same over term sets of this part only, with its terms numbered 0, 1, 2, ...
void bisect_locally(std::span<DocId> part, const TermSets& sets, Workspace& work) {
    TermSets local;
    std::vector<std::uint32_t> terms;
    for (const auto document : part) {
        const auto of = sets.of(document);
        terms.insert(terms.end(), of.begin(), of.end());
        local.offsets.push_back(static_cast<std::int64_t>(terms.size()));
    }
    auto distinct = terms;
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    for (auto& term : terms) {
        term = static_cast<std::uint32_t>(
            std::lower_bound(distinct.begin(), distinct.end(), term) - distinct.begin());
    }
    local.terms = std::move(terms);
    const std::vector<DocId> names(part.begin(), part.end());
    std::vector<DocId> places(part.size());
    std::iota(places.begin(), places.end(), DocId{0});
    bisect_down(places, local, work);
    for (std::size_t i = 0; i < part.size(); ++i) part[i] = names[places[i]];
}

void bisect_parallel(std::span<DocId> part, const TermSets& sets, unsigned threads,
                     Workspace& work) {
    if (part.size() <= local_part) {
        bisect_locally(part, sets, work);
        return;
    }
    bisect_once(part, sets, work);
    const auto left = part.first(part.size() / 2);
    const auto right = part.subspan(part.size() / 2);
    if (threads > 1) {
        auto other = std::async(std::launch::async, [&] {
            Workspace own(sets.term_count);
            bisect_parallel(left, sets, threads / 2, own);
        });
        bisect_parallel(right, sets, threads - threads / 2, work);
        other.get();
    } else {
        bisect_parallel(left, sets, 1, work);
        bisect_parallel(right, sets, 1, work);
    }
}

// The heaviest terms of each document, without those of one document only.
TermSets heaviest(const Documents& documents, std::size_t vocabulary_size) {
    std::vector<std::uint32_t> frequency(vocabulary_size);
    for (const auto term : documents.terms) ++frequency[static_cast<std::size_t>(term)];
    TermSets sets;
    sets.term_count = vocabulary_size;
    sets.offsets.reserve(documents.size() + 1);
    std::vector<std::pair<std::uint16_t, std::uint32_t>> row;
    for (std::size_t d = 0; d < documents.size(); ++d) {
        row.clear();
        for (auto p = documents.offsets[d]; p < documents.offsets[d + 1]; ++p) {
            const auto place = static_cast<std::size_t>(p);
            const auto term = static_cast<std::uint32_t>(documents.terms[place]);
            if (frequency[term] > 1) row.emplace_back(documents.weights[place].bits, term);
        }
        if (row.size() > heaviest_terms) {
            // Halves that are not negative order as their bits do.
            const auto middle = row.begin() + heaviest_terms;
            std::nth_element(row.begin(), middle, row.end(), std::greater<>{});
            row.resize(heaviest_terms);
        }
        for (const auto& entry : row) sets.terms.push_back(entry.second);
        sets.offsets.push_back(static_cast<std::int64_t>(sets.terms.size()));
    }
    return sets;
}

}  // namespace

std::vector<DocId> bisect(const Documents& documents, std::size_t vocabulary_size,
                          unsigned threads) {
    std::vector<DocId> order(documents.size());
    std::iota(order.begin(), order.end(), DocId{0});
    const auto sets = heaviest(documents, vocabulary_size);
    Workspace work(vocabulary_size);
    bisect_parallel(order, sets, std::max(threads, 1U), work);
    return order;
}

}  // namespace lsr
