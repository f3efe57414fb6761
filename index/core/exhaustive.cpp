#include "exhaustive.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "topk.hpp"

namespace lsr {
namespace {

// 64 KiB of accumulators: they stay in the second-level cache while the postings stream by.
constexpr DocId window_size = 1U << 14;
constexpr std::size_t stride = 16;
static_assert(window_size % stride == 0);

struct Cursor {
    const DocId* document;
    const DocId* end;
    const HalfWeight* weight;
    float query_weight;
};

std::vector<Cursor> open_cursors(const PostingLists& lists, const SparseQuery& query) {
    std::vector<Cursor> cursors;
    cursors.reserve(query.terms.size());
    const auto vocabulary = static_cast<std::int64_t>(lists.offsets.size()) - 1;
    for (std::size_t i = 0; i < query.terms.size(); ++i) {
        const auto term = query.terms[i];
        if (term < 0 || term >= vocabulary) continue;
        const auto begin = static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(term)]);
        const auto end =
            static_cast<std::size_t>(lists.offsets[static_cast<std::size_t>(term) + 1]);
        if (begin == end) continue;
        cursors.push_back({lists.documents.data() + begin, lists.documents.data() + end,
                           lists.weights.data() + begin, query.weights[i]});
    }
    return cursors;
}

void accumulate(Cursor& cursor, DocId window, DocId window_end, Score* scores) {
    const auto* document = cursor.document;
    const auto* weight = cursor.weight;
    for (; document != cursor.end && *document < window_end; ++document, ++weight) {
        scores[*document - window] += cursor.query_weight * weight->value();
    }
    cursor.document = document;
    cursor.weight = weight;
}

void collect(const Score* scores, DocId window, DocId window_end,
             std::span<const std::uint8_t> alive, TopK& top) {
    const DocId count = window_end - window;
    for (DocId start = 0; start < count; start += stride) {
        // Beyond the last document the scores are 0 and pass no threshold.
        Score best = 0;
        for (std::size_t i = 0; i < stride; ++i) best = std::max(best, scores[start + i]);
        if (best <= top.threshold()) continue;
        for (DocId i = start; i < start + stride; ++i) {
            const DocId document = window + i;
            if (scores[i] > top.threshold() && (alive.empty() || alive[document] != 0)) {
                top.push({document, scores[i]});
            }
        }
    }
}

}  // namespace

void validate(const PostingLists& lists) {
    const auto postings = lists.documents.size();
    if (lists.weights.size() != postings || lists.offsets.empty() || lists.offsets.front() != 0 ||
        lists.offsets.back() != static_cast<std::int64_t>(postings) ||
        !std::is_sorted(lists.offsets.begin(), lists.offsets.end())) {
        throw std::invalid_argument("posting list offsets don't fit the postings");
    }
    for (std::size_t term = 0; term + 1 < lists.offsets.size(); ++term) {
        const auto begin = static_cast<std::size_t>(lists.offsets[term]);
        const auto end = static_cast<std::size_t>(lists.offsets[term + 1]);
        for (auto i = begin; i < end; ++i) {
            if (lists.documents[i] >= lists.document_count ||
                (i > begin && lists.documents[i] <= lists.documents[i - 1])) {
                throw std::invalid_argument("a posting list's documents are not ascending");
            }
        }
    }
    const auto infinity = std::uint16_t{0x7C00};  // larger bits: infinite, NaN or negative
    for (const auto weight : lists.weights) {
        if (weight.bits >= infinity) {
            throw std::invalid_argument("a posting's weight is negative or not finite");
        }
    }
}

std::vector<ScoredDocument> exhaustive_top_k(const PostingLists& lists, const SparseQuery& query,
                                             std::size_t k, std::span<const std::uint8_t> alive) {
    if (k == 0) return {};
    auto cursors = open_cursors(lists, query);
    TopK top(k);
    std::vector<Score> scores(window_size);
    for (DocId window = 0; !cursors.empty() && window < lists.document_count;
         window += std::min(window_size, lists.document_count - window)) {
        const DocId window_end = window + std::min(window_size, lists.document_count - window);
        for (auto& cursor : cursors) accumulate(cursor, window, window_end, scores.data());
        collect(scores.data(), window, window_end, alive, top);
        std::fill(scores.begin(), scores.end(), Score{0});
    }
    return std::move(top).ranked();
}

}  // namespace lsr
