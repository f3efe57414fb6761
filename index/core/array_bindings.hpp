// Arrays as they come from Python and go there.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "block_index.hpp"

namespace nb = nanobind;

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

template <typename T, typename Allocator>
nb::object array_of(std::vector<T, Allocator>&& values, std::vector<std::size_t> shape) {
    static_assert(sizeof(T) == sizeof(PlainOf<T>));
    using Values = std::vector<T, Allocator>;
    auto* owned = new Values(std::move(values));
    nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<Values*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, PlainOf<T>>(
        reinterpret_cast<PlainOf<T>*>(owned->data()), shape.size(), shape.data(), owner));
}
