// With search_bindings.cpp and marking_bindings.cpp all that knows Python: checks arrays, releases the GIL, calls, returns arrays.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "array_bindings.hpp"
#include "builder.hpp"
#include "checksum.hpp"
#include "document_weights.hpp"
#include "kernels.hpp"
#include "list_unpacker.hpp"
#include "marking_bindings.hpp"
#include "packed_lists.hpp"
#include "packed_rows.hpp"
#include "search_bindings.hpp"
#include "validate.hpp"

namespace {

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

// Set where the process ends: what is at work in the background lets go.
std::atomic<bool> ending = false;
const std::atomic<bool> going_on = false;

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

using Room = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// An index over arrays, or room for them, that Python owns and this object keeps alive.
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

    BlockIndex(const Array<std::uint8_t>& terms, const Array<std::uint8_t>& lengths,
               const Array<std::uint8_t>& documents, const Array<std::uint8_t>& weights,
               const Array<std::uint16_t>& masks, const Array<std::uint32_t>& order,
               std::size_t vocabulary_size, const nb::callable& room) {
        {
            nb::gil_scoped_release released;
            unpacker_ = std::make_unique<lsr::ListUnpacker>(
                lsr::PackedListsView{span_of(terms), span_of(lengths), span_of(documents),
                                     span_of(weights), span_of(masks)},
                span_of(order), vocabulary_size);
        }
        auto given = room(unpacker_->room_size());
        const auto memory = nb::cast<Room>(given);
        kept_.push_back(std::move(given));
        unpacker_->use({memory.data(), memory.shape(0)});
        index_ = unpacker_->index();
        packed_ = {terms, lengths, documents, weights};
        packed_masks_ = masks;
    }

    void complete(unsigned threads, bool in_background) {
        if (unpacker_ == nullptr) return;
        {
            nb::gil_scoped_release released;
            unpacker_->complete(threads, in_background ? ending : going_on);
        }
        if (unpacker_->is_complete()) {
            // Another thread may come here while Python lets go of what was packed.
            const auto packed = std::exchange(packed_, {});
            const auto masks = std::exchange(packed_masks_, {});
        }
    }

    [[nodiscard]] bool is_complete() const {
        return unpacker_ == nullptr || unpacker_->is_complete();
    }
    [[nodiscard]] bool is_malformed() const {
        return unpacker_ != nullptr && unpacker_->is_malformed();
    }

    // Each array by its name, over the memory of the index.
    static nb::dict arrays(nb::handle_t<BlockIndex> self) {
        const auto& index = nb::cast<const BlockIndex&>(self).index_;
        nb::dict result;
        for_each_array(index, index, [&](const char* name, auto& span, auto&) {
            using T = std::remove_const_t<
                typename std::remove_reference_t<decltype(span)>::element_type>;
            const auto size = span.size();
            result[name] = nb::cast(nb::ndarray<nb::numpy, const PlainOf<T>>(
                reinterpret_cast<const PlainOf<T>*>(span.data()), 1, &size, self));
        });
        return result;
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

    [[nodiscard]] const lsr::BlockIndex& index() const noexcept { return index_; }

private:
    lsr::BlockIndex index_;
    lsr::DocumentWeights weights_{index_};
    std::vector<nb::object> kept_;
    // What is unpacked, until all is.
    std::vector<Array<std::uint8_t>> packed_;
    Array<std::uint16_t> packed_masks_;
    std::unique_ptr<lsr::ListUnpacker> unpacker_;
};

BlockIndex* unpack(const Array<std::uint8_t>& terms, const Array<std::uint8_t>& lengths,
                   const Array<std::uint8_t>& documents, const Array<std::uint8_t>& weights,
                   const Array<std::uint16_t>& masks, const Array<std::uint32_t>& order,
                   std::size_t vocabulary_size, const nb::callable& room) {
    return new BlockIndex(terms, lengths, documents, weights, masks, order, vocabulary_size, room);
}

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
    m.def("end", [] { ending = true; });
    m.def("kernels", [] {
        nb::list names;
        for (const auto* name : {"scalar", "avx2"}) {
            if (lsr::kernels_named(name) != nullptr) names.append(name);
        }
        return names;
    });
    nb::class_<BlockIndex>(m, "BlockIndex")
        .def(nb::init<const nb::dict&>(), nb::arg("arrays"))
        .def("complete", &BlockIndex::complete, nb::arg("threads"), nb::arg("in_background"))
        .def_prop_ro("is_complete", &BlockIndex::is_complete)
        .def_prop_ro("is_malformed", &BlockIndex::is_malformed)
        .def("arrays", &BlockIndex::arrays)
        .def("pack_lists", &BlockIndex::pack_lists)
        .def("mask", &BlockIndex::mask, nb::arg("allowed"))
        .def("weights_of", &BlockIndex::weights_of, nb::arg("ordinals"), nb::arg("terms"));
    m.def(
        "search",
        [](const std::vector<const BlockIndex*>& indexes, const std::vector<Mask>& masks,
           const std::vector<Numbers>& numbers, const Array<std::int64_t>& indptr,
           const Array<std::int32_t>& terms, const Array<float>& weights, std::size_t k,
           std::optional<Array<float>> floor, double factor, std::int64_t budget_us,
           unsigned threads, const std::string& kernels, int choice) {
            std::vector<const lsr::BlockIndex*> parts;
            for (const auto* each : indexes) {
                if (each == nullptr) throw std::invalid_argument("an index is None");
                parts.push_back(&each->index());
            }
            return search(parts, masks, numbers, indptr, terms, weights, k, std::move(floor),
                          factor, budget_us, threads, kernels, choice);
        },
        nb::arg("indexes"), nb::arg("masks"), nb::arg("numbers"),
          nb::arg("indptr"), nb::arg("terms"), nb::arg("weights"), nb::arg("k"),
          nb::arg("floor") = nb::none(), nb::arg("factor") = 1.0, nb::arg("budget_us") = 0,
          nb::arg("threads") = 1, nb::arg("kernels") = "", nb::arg("choice") = 0);
    m.def("unpack", &unpack, nb::arg("terms"), nb::arg("lengths"), nb::arg("documents"),
          nb::arg("weights"), nb::arg("masks"), nb::arg("order"), nb::arg("vocabulary_size"),
          nb::arg("room"));
    bind_marking(m);
}
