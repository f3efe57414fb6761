// A search of one part by block pruning: all blocks are bounded, the best of them scored, then those
// whose bounds still reach the k-th best score, best bounds first.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

#include "block_pruning.hpp"

namespace lsr {

constexpr std::size_t seed_blocks = 48;
constexpr std::size_t first_tier = 256;
constexpr std::size_t largest_tier = 1 << 14;
constexpr std::size_t scored_together = 6;  // and k more
constexpr std::size_t terms_at_once = 6;
// Measured costs in nanoseconds, for choosing between the two ways.
constexpr double ns_per_posting = 3;
constexpr double ns_per_document = 0.3;
constexpr double ns_per_block_and_term = 6;

using Clock = std::chrono::steady_clock;

class BlockSearch {
public:
    BlockSearch(const Part& part, const PlannedQuery& query, const Pruning& pruning,
                Clock::time_point started, const Kernels& kernels, Scratch& scratch, std::size_t k,
                TopK& top)
        : part_(part), index_(*part.index), query_(query), allowed_(part.allowed),
          pruning_(pruning), started_(started), kernels_(kernels), s_(scratch), k_(k), top_(top) {}

    // Bounds all blocks and scores the best of them.
    void begin() {
        lay_out(index_, query_, s_);
        sweep();
        seed();
    }

    // No document that is left scores higher.
    [[nodiscard]] double promise() const {
        return query_.score_within(*std::max_element(s_.chunk_max.begin(), s_.chunk_max.end()));
    }

    // False: nothing was decided, the exhaustive way is better.
    bool finish(bool at_any_cost) {
        const bool limited = pruning_.budget.count() > 0;
        if (pruning_.exact() && least() < 1) return false;
        select(needed_of_block());
        if (!at_any_cost && !limited && exhaustive_is_cheaper()) return false;
        work_down();
        return true;
    }

    // A score that no document left out exceeds; 0: none could enter.
    [[nodiscard]] Score unseen() const {
        if (pruning_.exact()) return 0;
        const auto untouched = *std::max_element(s_.bounds.begin(), s_.bounds.end());
        if (untouched < query_.least_bound(top_.threshold())) return 0;
        return std::nextafter(static_cast<Score>(query_.score_within(untouched)),
                              std::numeric_limits<Score>::infinity());
    }

private:
    void sweep() {
        const auto blocks = index_.row_stride();
        s_.bounds.assign(blocks, 0);
        s_.chunk_max.resize(blocks / chunk_size);
        s_.narrow_ends.assign(s_.narrow.size() * s_.chunk_max.size(), 0);
        for (std::size_t n = 0; n < s_.narrow.size(); ++n) sweep_narrow(n);
        kernels_.sweep(s_.wide.data(), s_.wide.size(), s_.bounds.data(), blocks,
                       s_.chunk_max.data());
        if (!allowed_.all()) restrict_to_allowed();
    }

    void sweep_narrow(std::size_t n) {
        const auto& term = query_.terms[s_.narrow[n]];
        const auto begin = static_cast<std::size_t>(index_.narrow_starts[term.place]);
        const auto end = static_cast<std::size_t>(index_.narrow_starts[term.place + 1]);
        auto* ends = s_.narrow_ends.data() + n * s_.chunk_max.size();
        for (auto p = begin; p < end; ++p) {
            const auto block = index_.narrow_blocks[p];
            auto& bound = s_.bounds[block];
            bound = static_cast<Bound>(bound +
                                       part_of_bound(term.scaled, index_.narrow_impacts[p]));
            ends[block / chunk_size] = static_cast<std::uint32_t>(p + 1 - begin);
        }
    }

    void restrict_to_allowed() {
        const auto blocks = allowed_.masks.size();
        for (std::size_t begin = 0; begin < blocks; begin += chunk_size) {
            const auto end = std::min(begin + chunk_size, blocks);
            Bound largest = 0;
            for (auto block = begin; block < end; ++block) {
                const auto bound = allowed_.in(block) == 0 ? Bound{0} : s_.bounds[block];
                s_.bounds[block] = bound;
                largest = std::max(largest, bound);
            }
            s_.chunk_max[begin / chunk_size] = largest;
        }
    }

    // The least bound with which a document could still enter.
    [[nodiscard]] double least() const {
        return query_.least_bound(top_.threshold());
    }

    [[nodiscard]] double needed() const { return std::max(least(), 1.0); }

    // The least bound with which a block is looked into.
    [[nodiscard]] double needed_of_block() const {
        return std::max(std::ceil(least() / pruning_.factor), 1.0);
    }

    // Fills `pending` with the blocks of at least this bound, ascending.
    void select(double needed) {
        s_.selected.resize(s_.bounds.size());
        std::size_t count = 0;
        if (needed <= std::numeric_limits<Bound>::max()) {
            count = kernels_.select(s_.bounds.data(), s_.bounds.size(), s_.chunk_max.data(),
                                    static_cast<Bound>(needed), s_.selected.data());
        }
        s_.pending.assign(s_.selected.begin(),
                          s_.selected.begin() + static_cast<std::ptrdiff_t>(count));
    }

    // Scores the blocks of the highest bounds, for a first threshold.
    void seed() {
        const auto wanted = seed_blocks + k_ / 4;
        const auto least = static_cast<double>(reached_by(s_.chunk_max, wanted));
        select(std::max(least, needed()));
        take_best(wanted);
        process();
    }

    // A bound that at least so many of the bounds reach, and not many more; 0 if there are fewer.
    static Bound reached_by(std::span<const Bound> bounds, std::size_t wanted) {
        if (bounds.size() < wanted) return 0;
        auto low = bounds.front(), high = bounds.front();
        for (const auto bound : bounds) {
            low = std::min(low, bound);
            high = std::max(high, bound);
        }
        const auto width = static_cast<int>(std::bit_width(static_cast<unsigned>(high - low)));
        const auto shift = std::max(width - 7, 0);
        std::array<std::uint32_t, 128> counts{};
        for (const auto bound : bounds) ++counts[static_cast<std::size_t>((bound - low) >> shift)];
        auto bucket = counts.size();
        for (std::size_t reached = 0; reached < wanted;) reached += counts[--bucket];
        return static_cast<Bound>(low + (bucket << shift));
    }

    [[nodiscard]] bool exhaustive_is_cheaper() const {
        return static_cast<double>(s_.pending.size() * query_.terms.size()) *
                   ns_per_block_and_term >
               static_cast<double>(query_.postings) * ns_per_posting +
                   static_cast<double>(index_.document_count()) * ns_per_document;
    }

    // Scores what can enter the top k, best bounds first.
    void work_down() {
        for (auto tier = first_tier; !s_.pending.empty();
             tier = std::min(8 * tier, largest_tier)) {
            if (out_of_budget()) break;
            take_best(tier);
            process();
            const auto needed = needed_of_block();
            std::erase_if(s_.pending, [&](auto block) { return s_.bounds[block] < needed; });
        }
    }

    // Moves about so many of the best bounds from `pending` to `survivors`, each in its order.
    void take_best(std::size_t wanted) {
        if (s_.pending.size() <= wanted + wanted / 2) {
            std::swap(s_.survivors, s_.pending);
            s_.pending.clear();
            return;
        }
        s_.ranked.resize(s_.pending.size());
        for (std::size_t i = 0; i < s_.pending.size(); ++i) {
            s_.ranked[i] = s_.bounds[s_.pending[i]];
        }
        const auto least = reached_by(s_.ranked, wanted);
        s_.survivors.resize(s_.pending.size());
        std::size_t taken = 0, left = 0;
        for (const auto block : s_.pending) {
            const bool take = s_.bounds[block] >= least;
            s_.survivors[taken] = block;
            s_.pending[left] = block;
            taken += take ? 1 : 0;
            left += take ? 0 : 1;
        }
        s_.survivors.resize(taken);
        s_.pending.resize(left);
    }

    // Scores what can enter the top k of the survivors. Their bounds become 0.
    void process() {
        if (s_.survivors.empty()) return;
        const auto needed =
            static_cast<Bound>(std::min<double>(this->needed(), std::numeric_limits<Bound>::max()));
        refine_wide(needed);
        refine_narrow(needed);
        for (const auto block : s_.survivors) s_.bounds[block] = 0;
        score_candidates(scored_together + k_);
    }

    [[nodiscard]] bool out_of_budget() const {
        return pruning_.budget.count() != 0 && Clock::now() - started_ >= pruning_.budget;
    }

    // Leaves in `active` the slots of blocks that reach the threshold.
    void refine_wide(Bound needed) {
        const auto slots = s_.survivors.size();
        s_.lanes.resize(slots);
        s_.active.resize(slots);
        s_.found.resize(s_.wide.size() * slots);
        for (std::size_t slot = 0; slot < slots; ++slot) {
            const auto block = s_.survivors[slot];
            s_.lanes[slot].fill(s_.bounds[block]);
            keep_allowed(s_.lanes[slot], allowed_.in(block));
            s_.active[slot] = static_cast<std::uint16_t>(slot);
        }
        const Candidates candidates{s_.survivors.data(), s_.lanes.data()};
        auto active = slots;
        for (std::size_t w = 0; w < s_.wide.size(); ++w) {
            const auto& next = s_.wide[std::min(w + 1, s_.wide.size() - 1)];
            active = kernels_.refine(s_.wide[w], next, candidates, s_.active.data(), active, needed,
                                     s_.found.data() + w * slots);
        }
        s_.active.resize(active);
    }

    static void keep_allowed(std::array<Bound, block_size>& lanes, BlockMask allowed) {
        if (allowed == whole_block) return;
        for (std::size_t lane = 0; lane < block_size; ++lane) {
            lanes[lane] = (allowed >> lane & 1U) != 0 ? lanes[lane] : Bound{0};
        }
    }

    // Leaves in `later` the documents of active blocks that reach the threshold.
    void refine_narrow(Bound needed) {
        s_.hits.clear();
        s_.hit_ends.clear();
        for (std::size_t n = 0; n < s_.narrow.size(); ++n) {
            find_hits(n);
            s_.hit_ends.push_back(s_.hits.size());
        }
        s_.later.clear();
        for (const auto slot : s_.active) {
            const auto block = s_.survivors[slot];
            auto lanes = kernels_.reaching(s_.lanes[slot], needed) & allowed_.in(block);
            for (; lanes != 0; lanes &= lanes - 1) {
                const auto lane = static_cast<std::uint16_t>(std::countr_zero(lanes));
                s_.later.push_back({slot, block, lane, s_.lanes[slot][lane]});
            }
        }
    }

    // The term's postings in active blocks; takes its part off the lanes of other documents there.
    void find_hits(std::size_t n) {
        const auto& term = query_.terms[s_.narrow[n]];
        const auto begin = static_cast<std::size_t>(index_.narrow_starts[term.place]);
        const auto* ends = s_.narrow_ends.data() + n * s_.chunk_max.size();
        const auto* blocks = index_.narrow_blocks.data() + begin;
        for (const auto slot : s_.active) {
            const auto block = s_.survivors[slot];
            std::size_t end = ends[block / chunk_size];
            while (end != 0 && blocks[end - 1] > block) --end;
            auto first = end;
            while (first != 0 && blocks[first - 1] == block) --first;
            if (first == end) continue;
            auto& lanes = s_.lanes[slot];
            const auto part =
                part_of_bound(term.scaled, index_.narrow_impacts[begin + first]);
            for (auto& lane : lanes) lane = static_cast<Bound>(lane - std::min(lane, part));
            for (auto p = first; p < end; ++p) {
                const auto lane = index_.narrow_lanes[begin + p];
                lanes[lane] = static_cast<Bound>(lanes[lane] + part);
                s_.hits.push_back({slot, lane, static_cast<std::uint32_t>(p)});
            }
        }
    }

    // Scores the documents of the highest bounds first, the others if they still reach.
    void score_candidates(std::size_t together) {
        while (!s_.later.empty()) {
            s_.candidates.clear();
            if (s_.later.size() <= 2 * together) {
                std::swap(s_.candidates, s_.later);
            } else {
                const auto middle = s_.later.begin() + static_cast<std::ptrdiff_t>(together);
                std::nth_element(s_.later.begin(), middle, s_.later.end(),
                                 [](auto& a, auto& b) { return a.bound > b.bound; });
                s_.candidates.assign(s_.later.begin(), middle);
                s_.later.erase(s_.later.begin(), middle);
            }
            score_together();
            const auto least = needed();
            std::erase_if(s_.later, [&](auto& candidate) { return candidate.bound < least; });
        }
    }

    void score_together() {
        const auto count = s_.candidates.size();
        const auto needed =
            static_cast<Bound>(std::min<double>(this->needed(), std::numeric_limits<Bound>::max()));
        s_.places.resize(s_.wide.size() * count);
        s_.chosen.resize(count);
        std::iota(s_.chosen.begin(), s_.chosen.end(), 0U);
        auto chosen = count;
        for (std::size_t first = 0; first < s_.wide.size() && chosen > 0; first += terms_at_once) {
            const auto last = std::min(first + terms_at_once, s_.wide.size());
            for (auto w = first; w < last; ++w) {
                kernels_.locate(s_.wide[w], s_.candidates.data(), s_.chosen.data(), chosen,
                                s_.found.data() + w * s_.survivors.size(),
                                s_.places.data() + w * count);
            }
            for (auto w = first; w < last; ++w) {
                chosen = kernels_.tighten(s_.wide[w], s_.units[w], s_.candidates.data(),
                                          s_.chosen.data(), chosen, s_.places.data() + w * count,
                                          needed);
            }
        }
        for (std::size_t i = 0; i < chosen; ++i) {
            const auto& candidate = s_.candidates[s_.chosen[i]];
            const auto document = candidate.block * block_size + candidate.lane;
            if (document < index_.document_count()) {
                top_.push({part_.first + index_.order[document], score(s_.chosen[i])});
            }
        }
    }

    [[nodiscard]] Score score(std::size_t c) const {
        Score sum = 0;
        for (std::size_t t = 0; t < query_.terms.size(); ++t) {
            const auto& term = query_.terms[t];
            const auto* weights = index_.weights.data() + index_.weight_starts[term.place];
            const auto place = place_of(t, c);
            if (place >= 0) sum += term.weight * weights[place].value();
        }
        return sum;
    }

    // Place of the document's weight among the term's; -1 where it lacks the term.
    [[nodiscard]] std::int32_t place_of(std::size_t t, std::size_t c) const {
        if (query_.terms[t].row < 0) return narrow_place(t, s_.candidates[c]);
        return s_.places[s_.place_of_term[t] * s_.candidates.size() + c];
    }

    [[nodiscard]] std::int32_t narrow_place(std::size_t t, const Candidate& candidate) const {
        const std::size_t n = s_.place_of_term[t];
        const auto end = s_.hits.begin() + static_cast<std::ptrdiff_t>(s_.hit_ends[n]);
        auto hit = s_.hits.begin() + static_cast<std::ptrdiff_t>(n == 0 ? 0 : s_.hit_ends[n - 1]);
        hit = std::lower_bound(hit, end, candidate.slot,
                               [](const auto& a, auto slot) { return a.slot < slot; });
        for (; hit != end && hit->slot == candidate.slot; ++hit) {
            if (hit->lane == candidate.lane) return static_cast<std::int32_t>(hit->posting);
        }
        return -1;
    }

    const Part& part_;
    const BlockIndex& index_;
    const PlannedQuery& query_;
    const Allowed& allowed_;
    const Pruning& pruning_;
    Clock::time_point started_;
    const Kernels& kernels_;
    Scratch& s_;
    std::size_t k_;
    TopK& top_;
};

}  // namespace lsr
