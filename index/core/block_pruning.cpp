#include "block_pruning.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "block_search.hpp"
#include "exhaustive.hpp"

namespace lsr {
namespace {

// Where more than one document in so many is wanted, bounds prune nothing.
constexpr std::size_t documents_per_result = 200;

// A search of all parts, which share the score to beat.
class PartsSearch {
public:
    PartsSearch(std::span<const Part> parts, const SparseQuery& query, const Pruning& pruning,
                Choice choice, const Kernels& kernels, std::vector<Scratch>& scratch,
                std::size_t k, Score floor)
        : at_any_cost_(choice == Choice::block_pruning), top_(k, floor) {
        const auto started = Clock::now();
        scratch.resize(std::max(scratch.size(), parts.size()));
        planned_.reserve(parts.size());
        for (std::size_t p = 0; p < parts.size(); ++p) {
            const auto& index = *parts[p].index;
            PlannedQuery plan(index, query);
            if (plan.terms.empty()) continue;
            const bool worthwhile = at_any_cost_ ||
                                    (choice == Choice::fastest &&
                                     k * documents_per_result <= index.document_count());
            planned_.push_back({parts[p], std::move(plan), {}});
            auto& each = planned_.back();
            if (each.query.bounded() && worthwhile) {
                each.pruned.emplace(each.part, each.query, pruning, started, kernels, scratch[p],
                                    k, top_);
            }
        }
    }

    [[nodiscard]] Ranking run() && {
        Ranking found;
        std::vector<std::pair<double, Planned*>> promising;
        for (auto& each : planned_) {
            if (!each.pruned) continue;
            each.pruned->begin();
            promising.emplace_back(each.pruned->promise(), &each);
        }
        std::stable_sort(promising.begin(), promising.end(),
                         [](auto& a, auto& b) { return a.first > b.first; });
        for (const auto& [promise, each] : promising) {
            if (each->pruned->finish(at_any_cost_)) continue;
            each->pruned.reset();
            top_.forget(each->part.first, each->part.index->document_count());
        }
        for (const auto& each : planned_) {
            found.block_pruning |= each.pruned.has_value();
            found.exhaustive |= !each.pruned;
            if (each.pruned) continue;
            score_all(*each.part.index, each.query, each.part.allowed, each.part.first, top_);
        }
        for (const auto& each : planned_) {
            if (each.pruned) found.unseen = std::max(found.unseen, each.pruned->unseen());
        }
        found.documents = std::move(top_).ranked();
        return found;
    }

private:
    struct Planned {
        const Part& part;
        PlannedQuery query;
        std::optional<BlockSearch> pruned;  // none: all is scored
    };

    bool at_any_cost_;
    TopK top_;
    std::vector<Planned> planned_;
};

}  // namespace

Ranking search(std::span<const Part> parts, const SparseQuery& query, std::size_t k, Score floor,
               const Pruning& pruning, Choice choice, const Kernels& kernels,
               std::vector<Scratch>& scratch) {
    if (k == 0) return {};
    return PartsSearch(parts, query, pruning, choice, kernels, scratch, k, floor).run();
}

}  // namespace lsr
