// Loops over compile-time constants.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace lsr::head {

// Calls step with 0, 1, ... as compile-time constants. A loop would be unrolled too late for the
// compiler to keep an array of sums in registers.
template <std::size_t... I>
[[gnu::always_inline]] inline void unrolled(std::index_sequence<I...>, auto&& step) {
    (step(std::integral_constant<std::size_t, I>{}), ...);
}

}  // namespace lsr::head
