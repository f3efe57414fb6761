// The only file here that knows Python: checks arrays, releases the GIL, calls, returns arrays.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "chosen_logits.hpp"
#include "projection.hpp"
#include "transformer.hpp"

namespace nb = nanobind;

namespace {

template <typename T, std::size_t Rank>
using Array = nb::ndarray<const T, nb::ndim<Rank>, nb::c_contig, nb::device::cpu, nb::ro>;

template <typename A>
auto span_of(const A& array) {
    return std::span(array.data(), array.size());
}

template <typename T>
nb::object array_of(std::vector<T>&& values) {
    auto* owned = new std::vector<T>(std::move(values));
    nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    const std::size_t size = owned->size();
    return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(owned->data(), {size}, owner));
}

class Projection {
public:
    Projection(Array<float, 2> weight, std::optional<Array<float, 1>> bias,
               const Array<float, 1>& center, const std::string& kernels)
        : weight_(std::move(weight)),
          bias_(std::move(bias)),
          projection_(checked(weight_, center), bias_ ? span_of(*bias_) : std::span<const float>{},
                      span_of(center), kernels_named(kernels)) {}

    nb::tuple largest(const Array<float, 2>& states, const Array<std::int64_t, 1>& offsets,
                      float floor) const {
        if (states.shape(1) != projection_.width()) {
            throw std::invalid_argument("the states are not as wide as the projection");
        }
        lsr::head::Pooled pooled;
        pooled.ends.push_back(0);
        std::int64_t screened = 0;
        {
            nb::gil_scoped_release released;
            projection_.largest(span_of(states), span_of(offsets), floor, pooled, screened);
        }
        return nb::make_tuple(array_of(std::move(pooled.ends)), array_of(std::move(pooled.terms)),
                              array_of(std::move(pooled.values)), screened,
                              array_of(std::move(pooled.tokens)));
    }

private:
    static std::span<const float> checked(const Array<float, 2>& weight,
                                          const Array<float, 1>& center) {
        if (weight.shape(1) != center.shape(0)) {
            throw std::invalid_argument("the center is not as wide as the projection");
        }
        return span_of(weight);
    }

    static const lsr::head::Kernels& kernels_named(const std::string& name) {
        const auto* found = name.empty() ? &lsr::head::best_kernels()
                                         : lsr::head::kernels_named(name);
        if (found == nullptr) {
            throw std::invalid_argument("this machine has no kernels called " + name);
        }
        return *found;
    }

    Array<float, 2> weight_;
    std::optional<Array<float, 1>> bias_;
    lsr::head::Projection projection_;
};

// The arrays of a BERT in the order of `_core.pyi`.
class Bert {
public:
    Bert(Array<float, 2> words, const Array<float, 2>& places,
         const std::vector<nb::ndarray<const float, nb::c_contig, nb::device::cpu, nb::ro>>& rest,
         std::size_t heads, float epsilon, const std::string& kernels, bool whole)
        : words_(std::move(words)),
          transformer_(weights_of(words_, places, rest), {words_.shape(1), heads, epsilon},
                       kernels_named(kernels), whole) {}

    nb::object states(const Array<std::int64_t, 1>& ids,
                      const Array<std::int64_t, 1>& offsets) const {
        std::vector<float> states(ids.size() * transformer_.width());
        {
            nb::gil_scoped_release released;
            transformer_.states(span_of(ids), span_of(offsets), states);
        }
        auto* owned = new std::vector<float>(std::move(states));
        nb::capsule owner(owned, [](void* p) noexcept {
            delete static_cast<std::vector<float>*>(p);
        });
        return nb::cast(nb::ndarray<nb::numpy, float, nb::ndim<2>>(
            owned->data(), {ids.size(), transformer_.width()}, owner));
    }

private:
    template <typename Arrays>
    static lsr::head::Weights weights_of(const Array<float, 2>& words,
                                         const Array<float, 2>& places, const Arrays& rest) {
        constexpr std::size_t before = 2;
        constexpr std::size_t after = 4;  // of a language model
        constexpr std::size_t layer = 16;
        const bool head = rest.size() % layer == (before + after) % layer;
        const auto ends = before + (head ? after : 0);
        if (rest.size() < ends || (rest.size() - ends) % layer != 0) {
            throw std::invalid_argument("a layer has 16 arrays");
        }
        std::size_t place = 0;
        const auto next = [&] { return span_of(rest[place++]); };
        const auto linear = [&] { return lsr::head::Linear{next(), next()}; };
        const auto norm = [&] { return lsr::head::Norm{next(), next()}; };
        lsr::head::Weights weights{span_of(words), span_of(places), norm(), {}, {}, {}};
        for (std::size_t count = (rest.size() - ends) / layer; count > 0; --count) {
            weights.layers.push_back({linear(), linear(), linear(), linear(), norm(), linear(),
                                      linear(), norm()});
        }
        if (head) {
            weights.transform = linear();
            weights.transform_norm = norm();
        }
        return weights;
    }

    static const lsr::head::LayerKernels& kernels_named(const std::string& name) {
        const auto* found = lsr::head::layer_kernels_named(
            name.empty() ? lsr::head::best_kernels().name : std::string_view(name));
        if (found == nullptr) {
            throw std::invalid_argument("this machine has no kernels called " + name);
        }
        return *found;
    }

    Array<float, 2> words_;
    lsr::head::Transformer transformer_;
};

using Sums = std::optional<nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>>;

void add_gradients(const Array<float, 1>& gradient, const Array<std::int64_t, 1>& tokens,
                   const Array<std::int64_t, 1>& terms, const Array<float, 2>& states,
                   const Array<float, 2>& weight, const Sums& of_states, const Sums& of_weight) {
    if (states.shape(1) == 0 || states.shape(1) != weight.shape(1)) {
        throw std::invalid_argument("states and weight are not equally wide");
    }
    const auto room = [](const Sums& sums) {
        return sums ? std::span<float>(sums->data(), sums->size()) : std::span<float>{};
    };
    nb::gil_scoped_release released;
    lsr::head::add_gradients({span_of(tokens), span_of(terms), span_of(gradient)},
                             states.shape(1), span_of(states), span_of(weight), room(of_states),
                             room(of_weight));
}

}  // namespace

NB_MODULE(_core, m) {
    // Caches of a process live until it ends, and where that is by a signal Python frees nothing.
    nb::set_leak_warnings(false);
    m.def("kernels", [] {
        nb::list names;
        for (const auto* name : {"scalar", "avx2", "avx512"}) {
            if (lsr::head::kernels_named(name) != nullptr) names.append(name);
        }
        return names;
    });
    nb::class_<Projection>(m, "Projection")
        .def(nb::init<Array<float, 2>, std::optional<Array<float, 1>>, const Array<float, 1>&,
                      const std::string&>(),
             nb::arg("weight"), nb::arg("bias").none(), nb::arg("center"),
             nb::arg("kernels") = "")
        .def("largest", &Projection::largest, nb::arg("states"), nb::arg("offsets"),
             nb::arg("floor") = 0.0F);
    m.def("add_gradients", &add_gradients, nb::arg("gradient"), nb::arg("tokens"),
          nb::arg("terms"), nb::arg("states"), nb::arg("weight"), nb::arg("of_states").none(),
          nb::arg("of_weight").none());
    nb::class_<Bert>(m, "Bert")
        .def(nb::init<Array<float, 2>, const Array<float, 2>&,
                      const std::vector<nb::ndarray<const float, nb::c_contig, nb::device::cpu,
                                                    nb::ro>>&,
                      std::size_t, float, const std::string&, bool>(),
             nb::arg("words"), nb::arg("places"), nb::arg("rest"), nb::arg("heads"),
             nb::arg("epsilon"), nb::arg("kernels") = "", nb::arg("whole") = false)
        .def("states", &Bert::states, nb::arg("ids"), nb::arg("offsets"));
}
