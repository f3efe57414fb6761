// The k best documents of a stream.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "types.hpp"

namespace lsr {

class TopK {
public:
    // Only documents that score above 0 and no less than `floor` are wanted.
    explicit TopK(std::size_t k, Score floor = 0) : k_(k), threshold_(floor) {}

    // A document below this can't enter; one that equals it may, by its ordinal.
    [[nodiscard]] Score threshold() const noexcept { return threshold_; }
    [[nodiscard]] bool full() const noexcept { return heap_.size() == k_; }

    void push(ScoredDocument candidate) {
        if (!(candidate.score >= threshold_ && candidate.score > 0)) return;
        if (full()) {
            if (!ranks_before(candidate, heap_.front())) return;
            std::pop_heap(heap_.begin(), heap_.end(), ranks_before);
            heap_.back() = candidate;
        } else {
            heap_.push_back(candidate);
        }
        std::push_heap(heap_.begin(), heap_.end(), ranks_before);
        if (full()) threshold_ = heap_.front().score;
    }

    // Takes out the documents of `count` numbers from `first` on, which are to come again. What has
    // been reached stays the score to beat: they alone would reach it.
    void forget(DocId first, std::size_t count) {
        std::erase_if(heap_, [&](auto& each) {
            return each.document >= first && each.document - first < count;
        });
        std::make_heap(heap_.begin(), heap_.end(), ranks_before);
    }

    [[nodiscard]] std::vector<ScoredDocument> ranked() && {
        std::sort(heap_.begin(), heap_.end(), ranks_before);
        return std::move(heap_);
    }

private:
    std::size_t k_;
    Score threshold_;
    std::vector<ScoredDocument> heap_;  // worst on top
};

}  // namespace lsr
