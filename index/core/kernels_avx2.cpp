// Compiled for AVX2; called only where the machine has it.
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>

#include "kernels.hpp"

namespace lsr {
namespace {

constexpr std::size_t lanes_in_vector = 16;
constexpr std::size_t vectors_in_chunk = chunk_size / lanes_in_vector;

__m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

std::uint16_t largest_lane(__m256i lanes) {
    const auto half =
        _mm_max_epu16(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    const auto inverted = _mm_xor_si128(half, _mm_set1_epi16(-1));
    const auto least = static_cast<std::uint16_t>(_mm_cvtsi128_si32(_mm_minpos_epu16(inverted)));
    return static_cast<std::uint16_t>(~least);
}

// Rows are streamed from beyond the caches: so many bytes before they are used they are asked for.
constexpr std::size_t row_bytes_ahead = 512;

void sweep(const WideTerm* terms, std::size_t term_count, Bound* bounds, std::size_t blocks,
           Bound* chunk_max) {
    const auto zero = _mm256_setzero_si256();
    static_assert(chunk_size == 64);
    for (std::size_t begin = 0; begin < blocks; begin += chunk_size) {
        // Of blocks 0 to 7 and 16 to 23; 8 to 15 and 24 to 31; the same of those from 32 on.
        __m256i sums[vectors_in_chunk] = {zero, zero, zero, zero};
        for (std::size_t t = 0; t < term_count; ++t) {
            const auto weight = _mm256_set1_epi16(static_cast<short>(terms[t].weight));
            const auto* row = terms[t].row + begin;
            _mm_prefetch(reinterpret_cast<const char*>(row + row_bytes_ahead), _MM_HINT_T0);
            for (std::size_t half = 0; half < 2; ++half) {
                // Behind a zero byte an impact is 256 times itself, so that the high half of its
                // product with a weight is its part of the bound.
                const auto impacts = load(row + 32 * half);
                const auto low = _mm256_unpacklo_epi8(zero, impacts);
                const auto high = _mm256_unpackhi_epi8(zero, impacts);
                sums[2 * half] =
                    _mm256_add_epi16(sums[2 * half], _mm256_mulhi_epu16(low, weight));
                sums[2 * half + 1] =
                    _mm256_add_epi16(sums[2 * half + 1], _mm256_mulhi_epu16(high, weight));
            }
        }
        const __m256i in_order[vectors_in_chunk] = {
            _mm256_permute2x128_si256(sums[0], sums[1], 0x20),
            _mm256_permute2x128_si256(sums[0], sums[1], 0x31),
            _mm256_permute2x128_si256(sums[2], sums[3], 0x20),
            _mm256_permute2x128_si256(sums[2], sums[3], 0x31)};
        auto largest = zero;
        for (std::size_t v = 0; v < vectors_in_chunk; ++v) {
            auto* place = bounds + begin + v * lanes_in_vector;
            const auto sum = _mm256_add_epi16(in_order[v], load(place));
            largest = _mm256_max_epu16(largest, sum);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(place), sum);
        }
        chunk_max[begin / chunk_size] = largest_lane(largest);
    }
}

// A bit for each impact of a group that is zero.
std::uint32_t zero_bytes(const Impact* group) {
    static_assert(group_size == 32);
    const auto zeros = _mm256_cmpeq_epi8(load(group), _mm256_setzero_si256());
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(zeros));
}

__m256i ones_in_bytes(__m256i bytes) {
    const auto ones = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2,
                                       1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const auto low_half = _mm256_set1_epi8(0x0F);
    return _mm256_add_epi8(
        _mm256_shuffle_epi8(ones, _mm256_and_si256(bytes, low_half)),
        _mm256_shuffle_epi8(ones, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), low_half)));
}

// Bits set in the first `count` masks, fewer than a group's. Reads a group's.
std::uint32_t ones_in(const BlockMask* masks, std::size_t count) {
    alignas(64) static constexpr auto kept = [] {
        std::array<std::uint16_t, 2 * group_size> lanes{};
        for (std::size_t i = 0; i < group_size; ++i) lanes[i] = 0xFFFF;
        return lanes;
    }();
    const auto* keep = kept.data() + group_size - count;
    const auto low = _mm256_and_si256(load(masks), load(keep));
    const auto high =
        _mm256_and_si256(load(masks + lanes_in_vector), load(keep + lanes_in_vector));
    const auto bytes = _mm256_add_epi8(ones_in_bytes(low), ones_in_bytes(high));
    const auto sums = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
    const auto half =
        _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(half) + _mm_extract_epi32(half, 2));
}

// A bit for each 16-bit lane that is all ones.
std::uint32_t lane_bits(__m256i lanes) {
    const auto bytes = static_cast<std::uint32_t>(_mm256_movemask_epi8(lanes));
    return _pext_u32(bytes, 0x55555555U);
}

std::uint32_t at_least(__m256i lanes, __m256i needed) {
    return lane_bits(_mm256_cmpeq_epi16(_mm256_max_epu16(lanes, needed), lanes));
}

// A bit for each of 32 bounds of at least `needed`.
std::uint32_t reaching_of_32(const Bound* bounds, __m256i needed) {
    const auto low = load(bounds), high = load(bounds + lanes_in_vector);
    const auto both = _mm256_packs_epi16(_mm256_cmpeq_epi16(_mm256_max_epu16(low, needed), low),
                                         _mm256_cmpeq_epi16(_mm256_max_epu16(high, needed), high));
    constexpr int in_order = 0b11'01'10'00;
    return static_cast<std::uint32_t>(
        _mm256_movemask_epi8(_mm256_permute4x64_epi64(both, in_order)));
}

std::size_t select(const Bound* bounds, std::size_t blocks, const Bound* chunk_max, Bound needed,
                   BlockId* chosen) {
    const auto least = _mm256_set1_epi16(static_cast<short>(needed));
    std::size_t count = 0;
    for (std::size_t begin = 0; begin < blocks; begin += chunk_size) {
        if (chunk_max[begin / chunk_size] < needed) continue;
        auto bits = std::uint64_t{reaching_of_32(bounds + begin, least)} |
                    std::uint64_t{reaching_of_32(bounds + begin + 32, least)} << 32;
        for (; bits != 0; bits &= bits - 1) {
            chosen[count++] =
                static_cast<BlockId>(begin + static_cast<std::size_t>(std::countr_zero(bits)));
        }
    }
    return count;
}

std::uint32_t reaching(const std::array<Bound, block_size>& lanes, Bound needed) {
    return at_least(load(lanes.data()), _mm256_set1_epi16(static_cast<short>(needed)));
}

std::size_t refine(const WideTerm& term, const WideTerm& next, const Candidates& candidates,
                   std::uint16_t* active, std::size_t active_count, Bound needed,
                   std::uint32_t* found) {
    const auto lane_bit = _mm256_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096,
                                            8192, 16384, static_cast<short>(0x8000));
    const auto almost = _mm256_set1_epi16(static_cast<short>(needed - 1));
    constexpr std::size_t ahead = 128;
    std::size_t kept = 0;
    for (std::size_t begin = 0; begin < active_count; begin += ahead) {
        const auto end = std::min(begin + ahead, active_count);
        for (auto i = begin; i < end; ++i) {
            const auto place = active[i];
            const std::size_t block = candidates.blocks[place];
            const auto lacks = zero_bytes(term.row + block / group_size * group_size);
            const auto below = _bzhi_u32(~lacks, static_cast<unsigned>(block % group_size));
            const auto mask = term.groups[block / group_size].mask +
                              static_cast<std::uint32_t>(_mm_popcnt_u32(below));
            found[place] = mask;
            _mm_prefetch(reinterpret_cast<const char*>(term.masks + mask), _MM_HINT_T0);
        }
        for (auto i = begin; i < end; ++i) {
            const auto place = active[i];
            const std::size_t block = candidates.blocks[place];
            const auto part = _mm256_set1_epi16(
                static_cast<short>(part_of_bound(term.weight, term.row[block])));
            const auto documents =
                _mm256_set1_epi16(static_cast<short>(term.masks[found[place]]));
            const auto holds = _mm256_cmpeq_epi16(_mm256_and_si256(documents, lane_bit), lane_bit);
            auto* lanes = reinterpret_cast<__m256i*>(candidates.lanes[place].data());
            const auto left =
                _mm256_subs_epu16(_mm256_loadu_si256(lanes), _mm256_andnot_si256(holds, part));
            _mm256_storeu_si256(lanes, left);
            const auto beyond = _mm256_subs_epu16(left, almost);
            _mm_prefetch(reinterpret_cast<const char*>(next.groups + block / group_size),
                         _MM_HINT_T0);
            _mm_prefetch(reinterpret_cast<const char*>(next.row + block), _MM_HINT_T0);
            active[kept] = place;
            kept += _mm256_testz_si256(beyond, beyond) != 0 ? 0 : 1;
        }
    }
    return kept;
}

void locate(const WideTerm& term, const Candidate* candidates, const std::uint32_t* chosen,
            std::size_t count, const std::uint32_t* found, std::int32_t* places) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto& candidate = candidates[chosen[i]];
        const auto& group = term.groups[candidate.block / group_size];
        const auto mask = found[candidate.slot];
        const std::uint32_t documents = term.masks[mask];
        const auto before = _bzhi_u32(documents, candidate.lane);
        const auto place = group.weight + ones_in(term.masks + group.mask, mask - group.mask) +
                           static_cast<std::uint32_t>(_mm_popcnt_u32(before));
        const auto lacks = ((documents >> candidate.lane & 1U) - 1U) |
                           (term.row[candidate.block] == 0 ? ~0U : 0U);
        places[chosen[i]] = static_cast<std::int32_t>(place | lacks);
        _mm_prefetch(reinterpret_cast<const char*>(term.weights + (place & ~lacks)), _MM_HINT_T0);
    }
}

std::size_t tighten(const WideTerm& term, float unit, Candidate* candidates, std::uint32_t* chosen,
                    std::size_t count, const std::int32_t* places, Bound needed) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count; ++i) {
        auto& candidate = candidates[chosen[i]];
        const auto place = places[chosen[i]];
        const auto lacks = place >> 31;
        const std::int32_t part = part_of_bound(term.weight, term.row[candidate.block]);
        const auto own = static_cast<std::int32_t>(unit * term.weights[place & ~lacks].value());
        candidate.bound =
            static_cast<Bound>(candidate.bound - ((part - std::min(own, part)) & ~lacks));
        chosen[kept] = chosen[i];
        kept += candidate.bound >= needed ? 1 : 0;
    }
    return kept;
}

constexpr Kernels avx2{"avx2", sweep, select, refine, locate, tighten, reaching};

}  // namespace

const Kernels& avx2_kernels() noexcept { return avx2; }

}  // namespace lsr
