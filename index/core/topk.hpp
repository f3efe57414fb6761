// The k best documents of a stream that arrives in ascending document order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "types.hpp"

namespace lsr {

class TopK {
public:
    explicit TopK(std::size_t k) : k_(k) {}

    // A score must be above this to enter. Zero at first, so a document that shares no term with
    // the query never enters. On a tie the earlier document stays, hence "above" suffices.
    [[nodiscard]] Score threshold() const noexcept { return threshold_; }

    void push(ScoredDocument candidate) {
        if (heap_.size() == k_) {
            std::pop_heap(heap_.begin(), heap_.end(), ranks_before);
            heap_.back() = candidate;
        } else {
            heap_.push_back(candidate);
        }
        std::push_heap(heap_.begin(), heap_.end(), ranks_before);
        if (heap_.size() == k_) threshold_ = heap_.front().score;
    }

    [[nodiscard]] std::vector<ScoredDocument> ranked() && {
        std::sort(heap_.begin(), heap_.end(), ranks_before);
        return std::move(heap_);
    }

private:
    std::size_t k_;
    Score threshold_ = 0;
    std::vector<ScoredDocument> heap_;  // worst on top
};

}  // namespace lsr
