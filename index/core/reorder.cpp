#include "reorder.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <future>
#include <limits>
#include <numeric>
#include <utility>

namespace lsr {
namespace {

constexpr std::size_t heaviest_terms = 24;  // of a document; more give no tighter bounds
constexpr int most_iterations = 12;
constexpr std::size_t smallest_part = 8;
constexpr std::size_t local_part = 4096;  // from here down, terms are renumbered to fit the cache
constexpr std::size_t places_ahead = 8;
constexpr std::size_t terms_in_a_line = 16;
constexpr auto unnumbered = std::numeric_limits<std::uint32_t>::max();

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

// What one more document with a term costs: x * log2(x + 1) less the same of x - 1.
class Steps {
public:
    Steps() {
        for (std::size_t x = 1; x < table_.size(); ++x) table_[x] = step(static_cast<double>(x));
    }
    [[nodiscard]] float operator()(std::int32_t x) const {
        const auto place = static_cast<std::size_t>(x);
        return place < table_.size() ? table_[place] : step(static_cast<double>(x));
    }

private:
    static float step(double x) {
        return static_cast<float>(x * std::log2(x + 1) - (x - 1) * std::log2(x));
    }
    std::array<float, 1 << 14> table_{};
};

const Steps& steps() {
    static const Steps table;
    return table;
}

using Place = std::uint64_t;

// Scratch space of one thread: degrees, gains and numbers by term, places of documents by rank.
struct Workspace {
    std::vector<std::int32_t> left_degree, right_degree;
    std::vector<float> left_gain, right_gain;
    std::vector<std::uint32_t> touched, number;
    std::vector<Place> places, ranked;
    std::vector<DocId> right;

    explicit Workspace(std::size_t terms)
        : left_degree(terms), right_degree(terms), left_gain(terms), right_gain(terms),
          number(terms, unnumbered) {}
};

// Asks for the terms of the document that comes some places after one: they lie anywhere. GCC takes
// a function that only asks for one without effect, and drops calls that it doesn't inline early.
[[gnu::always_inline]] inline void ask_ahead(std::span<const DocId> part, std::size_t place,
                                             const TermSets& sets) {
    if (place + places_ahead >= part.size()) return;
    const auto terms = sets.of(part[place + places_ahead]);
    if (terms.empty()) return;
    __builtin_prefetch(&terms.front());
    __builtin_prefetch(&terms[std::min(terms_in_a_line, terms.size() - 1)]);
}

void count_degrees(std::span<const DocId> part, const TermSets& sets, Workspace& work) {
    work.touched.clear();
    const auto half = part.size() / 2;
    for (std::size_t i = 0; i < part.size(); ++i) {
        ask_ahead(part, i, sets);
        auto& degree = i < half ? work.left_degree : work.right_degree;
        for (const auto term : sets.of(part[i])) {
            if ((work.left_degree[term] | work.right_degree[term]) == 0) {
                work.touched.push_back(term);
            }
            ++degree[term];
        }
    }
}

// What moving one document with a term to the other half saves in bits of gaps, term by term. A
// half of n documents, d of them with the term, takes d * (log2(n) - log2(d + 1)) for it.
void weigh_moves(Workspace& work, float log_left, float log_right) {
    const auto& step = steps();
    const auto difference = log_left - log_right;
    for (const auto term : work.touched) {
        const auto left = work.left_degree[term];
        const auto right = work.right_degree[term];
        work.left_gain[term] = difference - step(left) + step(right + 1);
        work.right_gain[term] = -difference - step(right) + step(left + 1);
    }
}

float sum_of(std::span<const std::uint32_t> terms, const std::vector<float>& gain) {
    // Four sums, for one would wait for each addition before the next.
    std::array<float, 4> sums{};
    std::size_t i = 0;
    for (; i + sums.size() <= terms.size(); i += sums.size()) {
        for (std::size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += gain[terms[i + lane]];
    }
    for (; i < terms.size(); ++i) sums[0] += gain[terms[i]];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// How much a document belongs to the right half: what it gains by going there, or loses by leaving
// it. As a number that orders so, with ties for who is there, and no two are the same.
Place place_of(float rightness, bool is_right, DocId document) {
    const auto bits = std::bit_cast<std::uint32_t>(rightness + 0.0F);  // never -0
    const auto ordered = (bits >> 31) != 0 ? ~bits : bits | std::uint32_t{1} << 31;
    return Place{ordered} << 32 | Place{is_right} << 31 | document;
}

void find_places(std::span<const DocId> part, const TermSets& sets, Workspace& work) {
    const auto half = part.size() / 2;
    work.places.resize(part.size());
    for (std::size_t i = 0; i < half; ++i) {
        ask_ahead(part, i, sets);
        const auto gain = sum_of(sets.of(part[i]), work.left_gain);
        work.places[i] = place_of(gain, false, part[i]);
    }
    for (std::size_t i = half; i < part.size(); ++i) {
        ask_ahead(part, i, sets);
        const auto gain = sum_of(sets.of(part[i]), work.right_gain);
        work.places[i] = place_of(-gain, true, part[i]);
    }
}

// Moves documents to the half that they belong to, as if those with most to gain were swapped in
// pairs for as long as a pair gains. Halves keep their sizes, and documents their order within
// them. Returns how many came to the left.
std::size_t move(std::span<DocId> part, const TermSets& sets, Workspace& work) {
    const auto half = part.size() / 2;
    work.ranked = work.places;
    const auto middle = work.ranked.begin() + static_cast<std::ptrdiff_t>(half);
    std::nth_element(work.ranked.begin(), middle, work.ranked.end());
    const auto first_right = *middle;
    work.right.clear();
    std::size_t left = 0, came = 0;
    for (std::size_t i = 0; i < part.size(); ++i) {
        const auto document = part[i];
        const auto goes_left = work.places[i] < first_right;
        if (goes_left) {
            part[left++] = document;
        } else {
            work.right.push_back(document);
        }
        if (goes_left == (i < half)) continue;
        came += goes_left ? 1 : 0;
        const auto change = goes_left ? 1 : -1;
        for (const auto term : sets.of(document)) {
            work.left_degree[term] += change;
            work.right_degree[term] -= change;
        }
    }
    std::copy(work.right.begin(), work.right.end(), part.subspan(left).begin());
    return came;
}

void bisect_once(std::span<DocId> part, const TermSets& sets, Workspace& work) {
    const auto half = part.size() / 2;
    const auto log_left = std::log2(static_cast<float>(half));
    const auto log_right = std::log2(static_cast<float>(part.size() - half));
    count_degrees(part, sets, work);
    for (int iteration = 0; iteration < most_iterations; ++iteration) {
        weigh_moves(work, log_left, log_right);
        find_places(part, sets, work);
        const auto came = move(part, sets, work);
        if (came * 100 < half || came < 2) break;
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
    std::vector<std::uint32_t> distinct;
    for (const auto document : part) {
        for (const auto term : sets.of(document)) {
            if (work.number[term] == unnumbered) {
                work.number[term] = static_cast<std::uint32_t>(distinct.size());
                distinct.push_back(term);
            }
            local.terms.push_back(work.number[term]);
        }
        local.offsets.push_back(static_cast<std::int64_t>(local.terms.size()));
    }
    for (const auto term : distinct) work.number[term] = unnumbered;
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
