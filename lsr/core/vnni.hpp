// Sums of products of whole numbers of 8 bits by AVX512-VNNI; for files that are compiled for it.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace lsr::head {
namespace {

// Four numbers in every lane.
[[gnu::always_inline]] inline __m512i broadcast(const std::int8_t* four) {
    std::int32_t bits;
    __builtin_memcpy(&bits, four, sizeof(bits));
    return _mm512_set1_epi32(bits);
}

// The intrinsic makes GCC 12 copy each sum through memory.
[[gnu::always_inline]] inline void multiply_add(__m512i& sum, __m512i weights, __m512i values) {
    asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(values));
}

}  // namespace
}  // namespace lsr::head
