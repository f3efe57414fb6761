// The only file that knows Python: checks arrays, releases the GIL, calls, returns arrays.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "exhaustive.hpp"

namespace nb = nanobind;

namespace {

template <typename T>
using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu, nb::ro>;
template <typename T>
using Matrix = nb::ndarray<nb::numpy, T, nb::ndim<2>>;

template <typename T>
std::span<const T> span_of(const Array<T>& array) {
    return {array.data(), array.shape(0)};
}

template <typename T>
Matrix<T> matrix_of(std::vector<T>&& values, std::size_t rows, std::size_t columns) {
    auto* owned = new std::vector<T>(std::move(values));
    nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return Matrix<T>(owned->data(), {rows, columns}, owner);
}

// Posting lists over arrays that Python owns (memory-mapped, usually) and this object keeps alive.
class ExhaustiveIndex {
public:
    ExhaustiveIndex(Array<std::int64_t> offsets, Array<std::uint32_t> documents,
                    Array<std::uint16_t> weights, std::size_t document_count)
        : offsets_(std::move(offsets)),
          documents_(std::move(documents)),
          weights_(std::move(weights)) {
        if (document_count > std::numeric_limits<lsr::DocId>::max()) {
            throw std::invalid_argument("a segment holds at most 4294967295 documents");
        }
        lists_ = {span_of(offsets_), span_of(documents_),
                  {reinterpret_cast<const lsr::HalfWeight*>(weights_.data()), weights_.shape(0)},
                  static_cast<lsr::DocId>(document_count)};
        nb::gil_scoped_release released;
        lsr::validate(lists_);
    }

    nb::tuple search(const Array<std::int64_t>& indptr, const Array<std::int32_t>& terms,
                     const Array<float>& weights, std::size_t k,
                     std::optional<Array<std::uint8_t>> alive) const {
        check_queries(span_of(indptr), span_of(terms), weights.shape(0));
        if (alive && alive->shape(0) != lists_.document_count) {
            throw std::invalid_argument("alive needs one byte for each document");
        }
        const auto queries = indptr.shape(0) - 1;
        k = std::min<std::size_t>(k, lists_.document_count);
        std::vector<std::int64_t> ordinals(queries * k, -1);
        std::vector<float> scores(queries * k, 0.0F);
        {
            nb::gil_scoped_release released;
            const auto living = alive ? span_of(*alive) : std::span<const std::uint8_t>{};
            for (std::size_t q = 0; q < queries; ++q) {
                const auto begin = static_cast<std::size_t>(indptr.data()[q]);
                const auto count = static_cast<std::size_t>(indptr.data()[q + 1]) - begin;
                const auto ranked = lsr::exhaustive_top_k(
                    lists_, {{terms.data() + begin, count}, {weights.data() + begin, count}}, k,
                    living);
                for (std::size_t rank = 0; rank < ranked.size(); ++rank) {
                    ordinals[q * k + rank] = ranked[rank].document;
                    scores[q * k + rank] = ranked[rank].score;
                }
            }
        }
        return nb::make_tuple(matrix_of(std::move(ordinals), queries, k),
                              matrix_of(std::move(scores), queries, k));
    }

private:
    static void check_queries(std::span<const std::int64_t> indptr,
                              std::span<const std::int32_t> terms, std::size_t weights) {
        if (indptr.empty() || indptr.front() != 0 || terms.size() != weights ||
            indptr.back() != static_cast<std::int64_t>(terms.size()) ||
            !std::is_sorted(indptr.begin(), indptr.end())) {
            throw std::invalid_argument("query rows don't fit their terms and weights");
        }
        for (std::size_t q = 0; q + 1 < indptr.size(); ++q) {
            const auto row = terms.subspan(static_cast<std::size_t>(indptr[q]),
                                           static_cast<std::size_t>(indptr[q + 1] - indptr[q]));
            if (std::adjacent_find(row.begin(), row.end(), std::greater_equal<>{}) != row.end()) {
                throw std::invalid_argument("a query's terms must be strictly ascending");
            }
        }
    }

    Array<std::int64_t> offsets_;
    Array<std::uint32_t> documents_;
    Array<std::uint16_t> weights_;
    lsr::PostingLists lists_;
};

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "Native scoring of sparse queries over posting lists.";
    nb::class_<ExhaustiveIndex>(m, "ExhaustiveIndex")
        .def(nb::init<Array<std::int64_t>, Array<std::uint32_t>, Array<std::uint16_t>,
                      std::size_t>(),
             nb::arg("offsets"), nb::arg("documents"), nb::arg("weights"),
             nb::arg("document_count"))
        .def("search", &ExhaustiveIndex::search, nb::arg("indptr"), nb::arg("terms"),
             nb::arg("weights"), nb::arg("k"), nb::arg("alive") = nb::none());
}
