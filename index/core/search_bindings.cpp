#include "search_bindings.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

#include "block_pruning.hpp"
#include "list_unpacker.hpp"
#include "parallel.hpp"

namespace {

struct Queries {
    Array<std::int64_t> indptr;
    Array<std::int32_t> terms;
    Array<float> weights;

    [[nodiscard]] std::size_t size() const { return indptr.shape(0) - 1; }

    [[nodiscard]] lsr::SparseQuery operator[](std::size_t q) const {
        const auto begin = static_cast<std::size_t>(indptr.data()[q]);
        const auto count = static_cast<std::size_t>(indptr.data()[q + 1]) - begin;
        return {{terms.data() + begin, count}, {weights.data() + begin, count}};
    }

    void check() const {
        const auto rows = span_of(indptr);
        if (rows.empty() || rows.front() != 0 || terms.shape(0) != weights.shape(0) ||
            rows.back() != static_cast<std::int64_t>(terms.shape(0)) ||
            !std::is_sorted(rows.begin(), rows.end())) {
            throw std::invalid_argument("query rows don't fit their terms and weights");
        }
        for (std::size_t q = 0; q < size(); ++q) {
            const auto query = (*this)[q];
            if (std::adjacent_find(query.terms.begin(), query.terms.end(),
                                   std::greater_equal<>{}) != query.terms.end()) {
                throw std::invalid_argument("a query's terms must be strictly ascending");
            }
        }
        const auto all = span_of(weights);
        if (!std::all_of(all.begin(), all.end(),
                         [](float w) { return std::isfinite(w) && w >= 0; })) {
            throw std::invalid_argument("a query's weights must be finite and not negative");
        }
    }
};

// What a search of several queries fills, a row of k for each.
struct Results {
    std::size_t k;
    std::span<const std::span<const std::int64_t>> numbers_of;  // by part and ordinal
    std::vector<std::int64_t> numbers;
    std::vector<float> scores, unseen;
    std::vector<std::int64_t> strategies;

    Results(std::size_t queries, std::size_t wanted,
            std::span<const std::span<const std::int64_t>> of)
        : k(wanted), numbers_of(of), numbers(queries * k, -1), scores(queries * k),
          unseen(queries), strategies(queries) {}

    void set(std::size_t q, const lsr::Ranking& ranking, std::span<const lsr::Part> parts) {
        for (std::size_t rank = 0; rank < ranking.documents.size(); ++rank) {
            const auto document = ranking.documents[rank].document;
            auto part = parts.size() - 1;
            while (parts[part].first > document) --part;
            numbers[q * k + rank] = numbers_of[part].empty()
                                        ? std::int64_t{document}
                                        : numbers_of[part][document - parts[part].first];
            scores[q * k + rank] = ranking.documents[rank].score;
        }
        unseen[q] = ranking.unseen;
        strategies[q] = (ranking.exhaustive ? 1 : 0) + (ranking.block_pruning ? 2 : 0);
    }
};

// Unpacks what the queries need of indexes that were opened just now.
void unpack_lists(std::span<const lsr::Part> parts, const Queries& queries, unsigned threads) {
    std::vector<std::pair<lsr::ListUnpacker*, std::size_t>> lists;
    for (const auto& part : parts) {
        const auto& index = *part.index;
        if (index.unpacker == nullptr || index.unpacker->is_complete()) continue;
        for (const auto term : span_of(queries.terms)) {
            const auto found = std::lower_bound(index.terms.begin(), index.terms.end(), term);
            if (found == index.terms.end() || *found != term) continue;
            lists.emplace_back(index.unpacker,
                               static_cast<std::size_t>(found - index.terms.begin()));
        }
    }
    if (lists.empty()) return;
    lsr::in_chunks(lists.size(), 1, threads,
                   [&](std::size_t i) { lists[i].first->need(lists[i].second); });
}

void search_all(std::span<const lsr::Part> parts, const Queries& queries,
                std::span<const float> floor, const lsr::Pruning& pruning, lsr::Choice choice,
                const lsr::Kernels& kernels, unsigned threads, Results& results) {
    unpack_lists(parts, queries, threads);
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
        // Scratch space stays with its thread: a query must not pay for clearing new memory.
        thread_local std::vector<lsr::Scratch> scratch;
        for (auto q = next++; q < queries.size(); q = next++) {
            results.set(q,
                        lsr::search(parts, queries[q], results.k, floor.empty() ? 0 : floor[q],
                                    pruning, choice, kernels, scratch),
                        parts);
        }
    };
    const auto wanted = std::min<std::size_t>(std::max(threads, 1U), queries.size());
    lsr::in_parallel(wanted, static_cast<unsigned>(wanted),
                     [&](std::size_t, std::size_t) { work(); });
}

// The parts, and the numbers of the documents of each; these are empty where it gets those that
// follow the part before.
std::pair<std::vector<lsr::Part>, std::vector<std::span<const std::int64_t>>> parts_of(
    const std::vector<const lsr::BlockIndex*>& indexes, const std::vector<Mask>& masks,
    const std::vector<Numbers>& numbers) {
    if (masks.size() != indexes.size() || numbers.size() != indexes.size()) {
        throw std::invalid_argument("masks and numbers need an entry for each index");
    }
    std::vector<lsr::Part> parts;
    std::vector<std::span<const std::int64_t>> numbers_of;
    std::size_t first = 0;
    for (std::size_t p = 0; p < indexes.size(); ++p) {
        const auto& index = *indexes[p];
        if (masks[p] && masks[p]->shape(0) != index.block_count()) {
            throw std::invalid_argument("mask needs a number for each block");
        }
        if (numbers[p] && numbers[p]->shape(0) != index.document_count()) {
            throw std::invalid_argument("numbers needs one for each document");
        }
        parts.push_back({&index,
                         {masks[p] ? span_of(*masks[p]) : std::span<const lsr::BlockMask>{}},
                         static_cast<lsr::DocId>(first)});
        numbers_of.push_back(numbers[p] ? span_of(*numbers[p]) : std::span<const std::int64_t>{});
        first += index.document_count();
    }
    if (first > std::numeric_limits<lsr::DocId>::max()) {
        throw std::invalid_argument("more documents than can be numbered");
    }
    return {std::move(parts), std::move(numbers_of)};
}

}  // namespace

nb::tuple search(const std::vector<const lsr::BlockIndex*>& indexes,
                 const std::vector<Mask>& masks, const std::vector<Numbers>& numbers,
                 const Array<std::int64_t>& indptr, const Array<std::int32_t>& terms,
                 const Array<float>& weights, std::size_t k, std::optional<Array<float>> floor,
                 double factor, std::int64_t budget_us, unsigned threads,
                 const std::string& kernels, int choice) {
    const Queries queries{indptr, terms, weights};
    queries.check();
    const auto [parts, numbers_of] = parts_of(indexes, masks, numbers);
    if (floor && floor->shape(0) != queries.size()) {
        throw std::invalid_argument("floor needs a score for each query");
    }
    const auto* chosen = kernels.empty() ? &lsr::best_kernels() : lsr::kernels_named(kernels);
    if (chosen == nullptr) {
        throw std::invalid_argument("this machine has no kernels called " + kernels);
    }
    if (!(factor > 0 && factor <= 1 && budget_us >= 0)) {
        throw std::invalid_argument("factor is above 0 and at most 1, budget_us 0 or more");
    }
    if (choice < 0 || choice > static_cast<int>(lsr::Choice::block_pruning)) {
        throw std::invalid_argument("choice is 0, 1 or 2");
    }
    std::size_t documents = 0;
    for (const auto& part : parts) documents += part.index->document_count();
    Results results(queries.size(), std::min(k, documents), numbers_of);
    {
        nb::gil_scoped_release released;
        search_all(parts, queries, floor ? span_of(*floor) : std::span<const float>{},
                   {factor, std::chrono::microseconds(budget_us)},
                   static_cast<lsr::Choice>(choice), *chosen, threads, results);
    }
    const auto rows = queries.size();
    return nb::make_tuple(array_of(std::move(results.numbers), {rows, results.k}),
                          array_of(std::move(results.scores), {rows, results.k}),
                          array_of(std::move(results.unseen), {rows}),
                          array_of(std::move(results.strategies), {rows}));
}
