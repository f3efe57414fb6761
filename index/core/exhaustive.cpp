#include "exhaustive.hpp"

#include <algorithm>
#include <bit>
#include <vector>

namespace lsr {
namespace {

// 64 KiB of accumulators: they stay in the second-level cache while the postings stream by.
constexpr std::size_t window_blocks = 1024;
static_assert(window_blocks % group_size == 0);

struct NarrowCursor {
    std::size_t posting;
    std::size_t end;
    std::size_t weight;
};

class Window {
public:
    Window(const BlockIndex& index, const PlannedQuery& query)
        : index_(index), query_(query), scores_(window_blocks * block_size) {
        for (const auto& term : query.terms) {
            cursors_.push_back({static_cast<std::size_t>(index.narrow_starts[term.place]),
                                static_cast<std::size_t>(index.narrow_starts[term.place + 1]),
                                static_cast<std::size_t>(index.weight_starts[term.place])});
        }
    }

    void score(std::size_t first_block) {
        std::fill(scores_.begin(), scores_.end(), Score{0});
        for (std::size_t t = 0; t < query_.terms.size(); ++t) {
            if (query_.terms[t].row < 0) {
                add_narrow(query_.terms[t], cursors_[t], first_block);
            } else {
                add_wide(query_.terms[t], first_block);
            }
        }
    }

    void collect(std::size_t first_block, const Allowed& allowed, DocId first, TopK& top) const {
        const auto blocks = std::min(window_blocks, index_.block_count() - first_block);
        for (std::size_t b = 0; b < blocks; ++b) {
            const auto* scores = scores_.data() + b * block_size;
            Score best = 0;
            for (std::size_t lane = 0; lane < block_size; ++lane) {
                best = std::max(best, scores[lane]);
            }
            if (best <= 0 || best < top.threshold()) continue;
            const auto block = first_block + b;
            for (std::size_t lane = 0; lane < block_size; ++lane) {
                if (scores[lane] <= 0 || scores[lane] < top.threshold()) continue;
                if ((allowed.in(block) >> lane & 1U) == 0) continue;
                top.push({first + index_.order[block * block_size + lane], scores[lane]});
            }
        }
    }

private:
    void add_narrow(const QueryTerm& term, NarrowCursor& cursor, std::size_t first_block) {
        const auto end = first_block + window_blocks;
        for (; cursor.posting < cursor.end && index_.narrow_blocks[cursor.posting] < end;
             ++cursor.posting, ++cursor.weight) {
            const auto document =
                (index_.narrow_blocks[cursor.posting] - first_block) * block_size +
                index_.narrow_lanes[cursor.posting];
            scores_[document] += term.weight * index_.weights[cursor.weight].value();
        }
    }

    void add_wide(const QueryTerm& term, std::size_t first_block) {
        const auto row = static_cast<std::size_t>(term.row);
        const auto* groups = index_.groups.data() + row * index_.group_count();
        const auto* masks =
            index_.masks.data() + static_cast<std::size_t>(index_.mask_starts[row]);
        const auto* weights =
            index_.weights.data() + static_cast<std::size_t>(index_.weight_starts[term.place]);
        const auto& group = groups[first_block / group_size];
        const auto* impacts = index_.block_max.data() + row * index_.row_stride();
        const auto* mask = masks + group.mask;
        const auto* weight = weights + group.weight;
        const auto end = std::min(first_block + window_blocks, index_.block_count());
        for (auto b = first_block; b < end; ++b) {
            if (impacts[b] == 0) continue;
            auto* scores = scores_.data() + (b - first_block) * block_size;
            for (std::uint32_t documents = *mask++; documents != 0; documents &= documents - 1) {
                scores[std::countr_zero(documents)] += term.weight * (weight++)->value();
            }
        }
    }

    const BlockIndex& index_;
    const PlannedQuery& query_;
    std::vector<NarrowCursor> cursors_;
    std::vector<Score> scores_;
};

}  // namespace

void score_all(const BlockIndex& index, const PlannedQuery& query, const Allowed& allowed,
               DocId first, TopK& top) {
    if (query.terms.empty()) return;
    Window window(index, query);
    for (std::size_t block = 0; block < index.block_count(); block += window_blocks) {
        window.score(block);
        window.collect(block, allowed, first, top);
    }
}

}  // namespace lsr
