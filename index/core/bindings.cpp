// With marking_bindings.cpp all that knows Python: checks arrays, releases the GIL, calls, returns arrays.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "block_pruning.hpp"
#include "builder.hpp"
#include "checksum.hpp"
#include "document_weights.hpp"
#include "marking_bindings.hpp"
#include "packed_lists.hpp"
#include "packed_rows.hpp"
#include "validate.hpp"

namespace nb = nanobind;

namespace {

template <typename T>
using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu, nb::ro>;

template <typename T>
std::span<const T> span_of(const Array<T>& array) {
    return {array.data(), array.shape(0)};
}

// Structures of the index as Python sees them: arrays of unsigned integers of their size.
template <typename T>
struct Plain {
    using type = T;
};
template <>
struct Plain<lsr::HalfWeight> {
    using type = std::uint16_t;
};
template <>
struct Plain<lsr::Group> {
    using type = std::uint64_t;
};
template <typename T>
using PlainOf = typename Plain<T>::type;

template <typename T>
nb::object array_of(std::vector<T>&& values, std::vector<std::size_t> shape) {
    static_assert(sizeof(T) == sizeof(PlainOf<T>));
    auto* owned = new std::vector<T>(std::move(values));
    nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, PlainOf<T>>(
        reinterpret_cast<PlainOf<T>*>(owned->data()), shape.size(), shape.data(), owner));
}

// Calls visit(name, member of a, member of b) for each array of an index.
template <typename A, typename B, typename Visit>
void for_each_array(A& a, B& b, const Visit& visit) {
    visit("order", a.order, b.order);
    visit("terms", a.terms, b.terms);
    visit("steps", a.steps, b.steps);
    visit("weight_starts", a.weight_starts, b.weight_starts);
    visit("weights", a.weights, b.weights);
    visit("rows", a.rows, b.rows);
    visit("narrow_starts", a.narrow_starts, b.narrow_starts);
    visit("narrow_blocks", a.narrow_blocks, b.narrow_blocks);
    visit("narrow_lanes", a.narrow_lanes, b.narrow_lanes);
    visit("narrow_impacts", a.narrow_impacts, b.narrow_impacts);
    visit("block_max", a.block_max, b.block_max);
    visit("groups", a.groups, b.groups);
    visit("mask_starts", a.mask_starts, b.mask_starts);
    visit("masks", a.masks, b.masks);
}

// Each array of an index, by its name.
nb::dict dict_of(lsr::BlockIndexArrays&& arrays) {
    nb::dict result;
    for_each_array(arrays, arrays, [&](const char* name, auto& array, auto&) {
        const auto size = array.size();
        result[name] = array_of(std::move(array), {size});
    });
    return result;
}

nb::dict build(const Array<std::int64_t>& offsets, const Array<std::int32_t>& terms,
               const Array<std::uint16_t>& weights, std::size_t vocabulary_size, bool reorder,
               unsigned threads) {
    lsr::BlockIndexArrays arrays;
    {
        nb::gil_scoped_release released;
        arrays = lsr::build({span_of(offsets), span_of(terms),
                             {reinterpret_cast<const lsr::HalfWeight*>(weights.data()),
                              weights.shape(0)}},
                            vocabulary_size, {reorder, threads});
    }
    return dict_of(std::move(arrays));
}

nb::dict unpack_lists(const Array<std::uint8_t>& terms, const Array<std::uint8_t>& lengths,
                      const Array<std::uint8_t>& documents, const Array<std::uint8_t>& weights,
                      const Array<std::uint16_t>& masks, const Array<std::uint32_t>& order,
                      std::size_t vocabulary_size, unsigned threads) {
    lsr::BlockIndexArrays arrays;
    {
        nb::gil_scoped_release released;
        arrays = lsr::unpack_lists(
            {span_of(terms), span_of(lengths), span_of(documents), span_of(weights),
             span_of(masks)},
            span_of(order), vocabulary_size, threads);
    }
    return dict_of(std::move(arrays));
}

nb::tuple pack_rows(const Array<std::int64_t>& starts, const Array<std::int32_t>& terms,
                    const Array<std::uint16_t>& weights) {
    lsr::PackedRows packed;
    {
        nb::gil_scoped_release released;
        packed = lsr::pack_rows(span_of(starts), span_of(terms), span_of(weights));
    }
    const auto rows = packed.term_starts.size();
    const auto of_terms = packed.terms.size(), of_weights = packed.weights.size();
    return nb::make_tuple(array_of(std::move(packed.terms), {of_terms}),
                          array_of(std::move(packed.term_starts), {rows}),
                          array_of(std::move(packed.weights), {of_weights}),
                          array_of(std::move(packed.weight_starts), {rows}));
}

nb::tuple unpack_rows(const Array<std::uint8_t>& terms, const Array<std::int64_t>& term_starts,
                      const Array<std::uint8_t>& weights,
                      const Array<std::int64_t>& weight_starts) {
    lsr::UnpackedRows unpacked;
    {
        nb::gil_scoped_release released;
        unpacked = lsr::unpack_rows(span_of(terms), span_of(term_starts), span_of(weights),
                                    span_of(weight_starts));
    }
    const auto starts = unpacked.starts.size(), count = unpacked.terms.size();
    return nb::make_tuple(array_of(std::move(unpacked.starts), {starts}),
                          array_of(std::move(unpacked.terms), {count}),
                          array_of(std::move(unpacked.weights), {count}));
}

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
    std::vector<std::int64_t> ordinals;
    std::vector<float> scores, unseen;
    std::vector<std::int64_t> strategies;

    Results(std::size_t queries, std::size_t wanted)
        : k(wanted), ordinals(queries * k, -1), scores(queries * k), unseen(queries),
          strategies(queries) {}

    void set(std::size_t q, const lsr::Ranking& ranking) {
        for (std::size_t rank = 0; rank < ranking.documents.size(); ++rank) {
            ordinals[q * k + rank] = ranking.documents[rank].document;
            scores[q * k + rank] = ranking.documents[rank].score;
        }
        unseen[q] = ranking.unseen;
        strategies[q] = static_cast<std::int64_t>(ranking.strategy);
    }
};

// An index over arrays that Python owns and this object keeps alive.
class BlockIndex {
public:
    explicit BlockIndex(const nb::dict& arrays) {
        for_each_array(index_, index_, [&](const char* name, auto& span, auto&) {
            using T = std::remove_const_t<
                typename std::remove_reference_t<decltype(span)>::element_type>;
            if (!arrays.contains(name)) {
                throw std::invalid_argument(std::string("the index lacks the array ") + name);
            }
            Array<PlainOf<T>> array;
            if (!nb::try_cast(nb::object(arrays[name]), array, false)) {
                throw std::invalid_argument(std::string("the index's array ") + name +
                                            " has another type or is not contiguous");
            }
            span = {reinterpret_cast<const T*>(array.data()), array.shape(0)};
            kept_.push_back(nb::borrow(arrays[name]));
        });
        nb::gil_scoped_release released;
        lsr::validate_shape(index_);
    }

    nb::dict pack_lists() const {
        lsr::PackedLists packed;
        {
            nb::gil_scoped_release released;
            packed = lsr::pack_lists(index_);
        }
        nb::dict result;
        const auto put = [&](const char* name, auto& numbers) {
            const auto size = numbers.size();
            result[name] = array_of(std::move(numbers), {size});
        };
        put("terms", packed.terms);
        put("lengths", packed.lengths);
        put("documents", packed.documents);
        put("weights", packed.weights);
        put("masks", packed.masks);
        return result;
    }

    // A bit for each document that may be returned, in the order of the index.
    nb::object mask(const Array<std::uint8_t>& allowed) const {
        if (allowed.shape(0) != index_.document_count()) {
            throw std::invalid_argument("allowed needs one byte for each document");
        }
        std::vector<lsr::BlockMask> masks(index_.block_count());
        for (std::size_t d = 0; d < index_.document_count(); ++d) {
            const bool may = allowed.data()[index_.order[d]] != 0;
            auto& mask = masks[d / lsr::block_size];
            mask = static_cast<lsr::BlockMask>(mask | (may ? 1U << (d % lsr::block_size) : 0U));
        }
        const auto size = masks.size();
        return array_of(std::move(masks), {size});
    }

    // float16 bits, (ordinals, terms).
    nb::object weights_of(const Array<std::int64_t>& ordinals,
                          const Array<std::int32_t>& terms) const {
        const auto count = static_cast<std::int64_t>(index_.document_count());
        for (const auto ordinal : span_of(ordinals)) {
            if (ordinal < 0 || ordinal >= count) throw std::invalid_argument("no such document");
        }
        return array_of(weights_.of(span_of(ordinals), span_of(terms)),
                        {ordinals.shape(0), terms.shape(0)});
    }

    nb::tuple search(const Array<std::int64_t>& indptr, const Array<std::int32_t>& terms,
                     const Array<float>& weights, std::size_t k,
                     std::optional<Array<std::uint16_t>> mask,
                     std::optional<Array<float>> floor, double factor,
                     std::int64_t budget_us, unsigned threads, const std::string& kernels,
                     int choice) const {
        const Queries queries{indptr, terms, weights};
        queries.check();
        if (mask && mask->shape(0) != index_.block_count()) {
            throw std::invalid_argument("mask needs a number for each block");
        }
        if (floor && floor->shape(0) != queries.size()) {
            throw std::invalid_argument("floor needs a score for each query");
        }
        const auto* chosen =
            kernels.empty() ? &lsr::best_kernels() : lsr::kernels_named(kernels);
        if (chosen == nullptr) {
            throw std::invalid_argument("this machine has no kernels called " + kernels);
        }
        if (!(factor > 0 && factor <= 1 && budget_us >= 0)) {
            throw std::invalid_argument("factor is above 0 and at most 1, budget_us 0 or more");
        }
        if (choice < 0 || choice > static_cast<int>(lsr::Choice::block_pruning)) {
            throw std::invalid_argument("choice is 0, 1 or 2");
        }
        const lsr::Pruning pruning{factor, std::chrono::microseconds(budget_us)};
        const lsr::Allowed allowed{mask ? span_of(*mask) : std::span<const lsr::BlockMask>{}};
        Results results(queries.size(), std::min(k, index_.document_count()));
        {
            nb::gil_scoped_release released;
            search_all(queries, allowed, floor ? span_of(*floor) : std::span<const float>{},
                       pruning, static_cast<lsr::Choice>(choice), *chosen, threads, results);
        }
        const auto rows = queries.size();
        return nb::make_tuple(array_of(std::move(results.ordinals), {rows, results.k}),
                              array_of(std::move(results.scores), {rows, results.k}),
                              array_of(std::move(results.unseen), {rows}),
                              array_of(std::move(results.strategies), {rows}));
    }

private:
    void search_all(const Queries& queries, const lsr::Allowed& allowed,
                    std::span<const float> floor, const lsr::Pruning& pruning, lsr::Choice choice, const lsr::Kernels& kernels,
                    unsigned threads, Results& results) const {
        std::atomic<std::size_t> next{0};
        const auto work = [&] {
            // Scratch space stays with its thread: a query must not pay for clearing new memory.
            thread_local lsr::Scratch scratch;
            for (auto q = next++; q < queries.size(); q = next++) {
                results.set(q, lsr::search(index_, queries[q], results.k,
                                           floor.empty() ? 0 : floor[q], allowed, pruning, choice,
                                           kernels, scratch));
            }
        };
        std::vector<std::future<void>> others;
        const auto wanted = std::min<std::size_t>(std::max(threads, 1U), queries.size());
        for (std::size_t t = 1; t < wanted; ++t) {
            others.push_back(std::async(std::launch::async, work));
        }
        work();
        for (auto& other : others) other.get();
    }

    lsr::BlockIndex index_;
    lsr::DocumentWeights weights_{index_};
    std::vector<nb::object> kept_;
};

}  // namespace

NB_MODULE(_core, m) {
    // Caches of a process live until it ends, and where that is by a signal Python frees nothing.
    nb::set_leak_warnings(false);
    m.doc() = "Inverted index of a segment: building, exact and approximate search.";
    m.attr("LARGEST_DOCUMENT_COUNT") = lsr::largest_document_count;
    m.def("build", &build, nb::arg("offsets"), nb::arg("terms"), nb::arg("weights"),
          nb::arg("vocabulary_size"), nb::arg("reorder"), nb::arg("threads"));
    m.def(
        "checksum",
        [](const Array<std::uint8_t>& bytes) {
            nb::gil_scoped_release released;
            return lsr::checksum(span_of(bytes));
        },
        nb::arg("bytes"));
    m.def(
        "checksum_by_table",
        [](const Array<std::uint8_t>& bytes) {
            nb::gil_scoped_release released;
            return lsr::checksum_by_table(span_of(bytes));
        },
        nb::arg("bytes"));
    m.def(
        "all_finite",
        [](const Array<float>& values) {
            nb::gil_scoped_release released;
            return lsr::all_finite(span_of(values));
        },
        nb::arg("values"));
    m.def("pack_rows", &pack_rows, nb::arg("starts"), nb::arg("terms"), nb::arg("weights"));
    m.def("unpack_rows", &unpack_rows, nb::arg("terms"), nb::arg("term_starts"),
          nb::arg("weights"), nb::arg("weight_starts"));
    m.def("unpack_lists", &unpack_lists, nb::arg("terms"), nb::arg("lengths"),
          nb::arg("documents"), nb::arg("weights"), nb::arg("masks"), nb::arg("order"),
          nb::arg("vocabulary_size"), nb::arg("threads"));
    m.def("kernels", [] {
        nb::list names;
        for (const auto* name : {"scalar", "avx2"}) {
            if (lsr::kernels_named(name) != nullptr) names.append(name);
        }
        return names;
    });
    nb::class_<BlockIndex>(m, "BlockIndex")
        .def(nb::init<const nb::dict&>(), nb::arg("arrays"))
        .def("pack_lists", &BlockIndex::pack_lists)
        .def("mask", &BlockIndex::mask, nb::arg("allowed"))
        .def("weights_of", &BlockIndex::weights_of, nb::arg("ordinals"), nb::arg("terms"))
        .def("search", &BlockIndex::search, nb::arg("indptr"), nb::arg("terms"),
             nb::arg("weights"), nb::arg("k"), nb::arg("mask") = nb::none(),
             nb::arg("floor") = nb::none(),
             nb::arg("factor") = 1.0, nb::arg("budget_us") = 0, nb::arg("threads") = 1,
             nb::arg("kernels") = "", nb::arg("choice") = 0);
    bind_marking(m);
}
