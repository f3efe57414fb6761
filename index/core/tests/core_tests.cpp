// Searches against a loop that scores every document; run under sanitizers. Exits with 1 and the
// first difference.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "../block_pruning.hpp"
#include "../builder.hpp"
#include "../checksum.hpp"
#include "../list_unpacker.hpp"
#include "../packed_lists.hpp"
#include "../packed_rows.hpp"
#include "../validate.hpp"

// Of marking_tests.cpp.
void check_marking(std::mt19937& random);

namespace {

using lsr::Choice;

struct Corpus {
    std::vector<std::int64_t> offsets{0};
    std::vector<lsr::TermId> terms;
    std::vector<lsr::HalfWeight> weights;
    std::size_t vocabulary_size;

    [[nodiscard]] lsr::Documents view() const { return {offsets, terms, weights}; }
};

struct Query {
    std::vector<lsr::TermId> terms;
    std::vector<float> weights;
};

void fail(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

std::vector<lsr::TermId> distinct_terms(std::mt19937& random, std::size_t count,
                                        std::size_t vocabulary) {
    std::vector<lsr::TermId> terms;
    std::uniform_real_distribution<double> uniform(0, 1);
    for (std::size_t i = 0; i < count; ++i) {
        const auto u = uniform(random);  // frequent terms are low
        terms.push_back(static_cast<lsr::TermId>(u * u * u * static_cast<double>(vocabulary)));
    }
    std::sort(terms.begin(), terms.end());
    terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
    return terms;
}

// Few distinct weights give ties; all halves give subnormal numbers, zeros and the largest.
Corpus random_corpus(std::mt19937& random, std::size_t documents, std::size_t vocabulary,
                     std::size_t longest, bool ties) {
    Corpus corpus;
    corpus.vocabulary_size = vocabulary;
    for (std::size_t d = 0; d < documents; ++d) {
        for (const auto term : distinct_terms(random, random() % (longest + 1), vocabulary)) {
            corpus.terms.push_back(term);
            const auto bits = ties ? 0x3C00U + 0x100U * (random() % 3) : random() % 0x7C00U;
            corpus.weights.push_back({static_cast<std::uint16_t>(bits)});
        }
        corpus.offsets.push_back(static_cast<std::int64_t>(corpus.terms.size()));
    }
    return corpus;
}

Query random_query(std::mt19937& random, std::size_t vocabulary, std::size_t longest) {
    Query query{distinct_terms(random, random() % (longest + 1), vocabulary + 3), {}};
    std::uniform_real_distribution<float> uniform(0, 3);
    for (std::size_t i = 0; i < query.terms.size(); ++i) {
        query.weights.push_back(random() % 9 == 0 ? 0.0F : uniform(random));
    }
    return query;
}

std::vector<lsr::ScoredDocument> expected(const Corpus& corpus, const Query& query, std::size_t k,
                                          const std::vector<bool>& allowed) {
    std::map<lsr::TermId, float> weight_of;
    for (std::size_t i = 0; i < query.terms.size(); ++i) {
        weight_of[query.terms[i]] = query.weights[i];
    }
    std::vector<lsr::ScoredDocument> all;
    for (std::size_t d = 0; d + 1 < corpus.offsets.size(); ++d) {
        float score = 0;
        for (auto p = corpus.offsets[d]; p < corpus.offsets[d + 1]; ++p) {
            const auto place = static_cast<std::size_t>(p);
            const auto found = weight_of.find(corpus.terms[place]);
            if (found != weight_of.end()) score += found->second * corpus.weights[place].value();
        }
        if (score > 0 && allowed[d]) all.push_back({static_cast<lsr::DocId>(d), score});
    }
    std::sort(all.begin(), all.end(), lsr::ranks_before);
    all.resize(std::min(all.size(), k));
    return all;
}

bool same(const std::vector<lsr::ScoredDocument>& a, const std::vector<lsr::ScoredDocument>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
        return x.document == y.document && x.score == y.score;
    });
}

std::vector<lsr::BlockMask> block_masks(const lsr::BlockIndex& index,
                                        const std::vector<bool>& allowed) {
    std::vector<lsr::BlockMask> masks(index.block_count());
    for (std::size_t d = 0; d < index.document_count(); ++d) {
        if (allowed[index.order[d]]) {
            masks[d / lsr::block_size] = static_cast<lsr::BlockMask>(
                masks[d / lsr::block_size] | 1U << (d % lsr::block_size));
        }
    }
    return masks;
}

void check_certificate(const std::vector<lsr::ScoredDocument>& found,
                       const std::vector<lsr::ScoredDocument>& exact, float unseen) {
    for (const auto& document : exact) {
        const bool seen = std::any_of(found.begin(), found.end(), [&](const auto& other) {
            return other.document == document.document && other.score == document.score;
        });
        if (!seen && document.score > unseen) fail("a document left out scores above `unseen`");
    }
}

void compare(const Corpus& corpus, const lsr::BlockIndex& index, const Query& query, std::size_t k,
             const std::vector<bool>& allowed, bool masked, std::mt19937& random) {
    const auto exact = expected(corpus, query, k, allowed);
    const auto masks = masked ? block_masks(index, allowed) : std::vector<lsr::BlockMask>{};
    const lsr::Allowed passing{masks};
    std::vector<lsr::Scratch> scratch;
    const lsr::Part part{&index, passing};
    for (const auto* name : {"scalar", "avx2"}) {
        const auto* kernels = lsr::kernels_named(name);
        if (kernels == nullptr) continue;
        for (const auto choice : {Choice::fastest, Choice::exhaustive, Choice::block_pruning}) {
            const auto found = lsr::search({&part, 1}, {query.terms, query.weights}, k, 0,
                                           {}, choice, *kernels, scratch);
            if (!same(found.documents, exact) || found.unseen != 0) {
                fail(std::string("an exact search differs, kernels ") + name);
            }
        }
        lsr::Pruning pruning;
        pruning.factor = 0.3 + 0.1 * static_cast<double>(random() % 8);
        pruning.budget = std::chrono::microseconds(random() % 3);
        const auto found = lsr::search({&part, 1}, {query.terms, query.weights}, k, 0,
                                       pruning, Choice::block_pruning, *kernels, scratch);
        check_certificate(found.documents, exact, found.unseen);
    }
}

// An index that is unpacked into room of its own.
struct Unpacked {
    Unpacked(const lsr::PackedLists& packed, std::span<const lsr::DocId> order,
             std::size_t vocabulary)
        : lists({packed.terms, packed.lengths, packed.documents, packed.weights, packed.masks},
                order, vocabulary),
          room(lists.room_size() / sizeof(std::uint64_t)) {
        lists.use({reinterpret_cast<std::uint8_t*>(room.data()), lists.room_size()});
    }

    void complete() { lists.complete(2, going_on); }

    const std::atomic<bool> going_on = false;
    lsr::ListUnpacker lists;
    std::vector<std::uint64_t> room;
};

template <typename T>
bool same(std::span<const T> a, std::span<const T> b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

bool same(const lsr::BlockIndex& a, const lsr::BlockIndex& b) {
    return same(a.order, b.order) && same(a.terms, b.terms) && same(a.steps, b.steps) &&
           same(a.weight_starts, b.weight_starts) && same(a.weights, b.weights) &&
           same(a.rows, b.rows) && same(a.narrow_starts, b.narrow_starts) &&
           same(a.narrow_blocks, b.narrow_blocks) && same(a.narrow_lanes, b.narrow_lanes) &&
           same(a.narrow_impacts, b.narrow_impacts) && same(a.block_max, b.block_max) &&
           same(a.groups, b.groups) && same(a.mask_starts, b.mask_starts) &&
           same(a.masks, b.masks);
}

void check_packed_lists(const lsr::BlockIndexArrays& arrays, std::size_t vocabulary) {
    const auto packed = lsr::pack_lists(arrays.view());
    Unpacked again(packed, arrays.order, vocabulary);
    again.complete();
    if (!again.lists.is_complete() || !same(again.lists.index(), arrays.view())) {
        fail("packed lists come back as others");
    }
}

// Lists are unpacked by searches, and by two threads in the background, one of which stops at once.
void check_lists_as_needed(std::mt19937& random, std::size_t documents, std::size_t vocabulary) {
    const auto corpus = random_corpus(random, documents, vocabulary, 12, true);
    const auto arrays = lsr::build(corpus.view(), vocabulary, {true, 2});
    const auto packed = lsr::pack_lists(arrays.view());
    for (const bool background : {false, true}) {
        Unpacked lists(packed, arrays.order, vocabulary);
        std::future<void> other, ended;
        if (background) {
            other = std::async(std::launch::async, [&] { lists.complete(); });
            ended = std::async(std::launch::async, [&] {
                const std::atomic<bool> stop = true;
                lists.lists.complete(2, stop);
            });
        }
        for (std::size_t round = 0; round < 20; ++round) {
            compare(corpus, lists.lists.index(), random_query(random, vocabulary, 8), 7,
                    std::vector<bool>(documents, true), false, random);
        }
        if (!background && lists.lists.is_complete()) fail("what nobody needs was unpacked");
        if (background) {
            other.get();
            ended.get();
        } else {
            lists.complete();
        }
        if (!same(lists.lists.index(), arrays.view())) fail("lists are others, unpacked as needed");
    }
}

// The documents from `first` on, `count` of them, by themselves.
Corpus part_of(const Corpus& corpus, std::size_t first, std::size_t count) {
    Corpus part;
    const auto from = corpus.offsets[first];
    part.offsets.clear();
    for (auto d = first; d <= first + count; ++d) part.offsets.push_back(corpus.offsets[d] - from);
    const auto begin = static_cast<std::ptrdiff_t>(from);
    const auto end = static_cast<std::ptrdiff_t>(corpus.offsets[first + count]);
    part.terms.assign(corpus.terms.begin() + begin, corpus.terms.begin() + end);
    part.weights.assign(corpus.weights.begin() + begin, corpus.weights.begin() + end);
    return part;
}

// Searches of a corpus that is cut into several indexes.
void check_parts(std::mt19937& random, const Corpus& corpus, std::size_t documents,
                 std::size_t vocabulary, int queries) {
    std::vector<lsr::BlockIndexArrays> arrays;
    std::vector<std::size_t> starts{0};
    while (starts.back() < documents) {
        const auto left = documents - starts.back();
        const auto count = 1 + random() % left;
        arrays.push_back(lsr::build(part_of(corpus, starts.back(), count).view(), vocabulary,
                                    {random() % 2 == 0, 1}));
        starts.push_back(starts.back() + count);
    }
    std::vector<lsr::BlockIndex> indexes;
    for (const auto& each : arrays) indexes.push_back(each.view());
    std::vector<lsr::Scratch> scratch;
    for (int q = 0; q < queries; ++q) {
        const auto query = random_query(random, vocabulary, 30);
        const std::size_t k = 1 + random() % (random() % 3 == 0 ? 2 * documents + 1 : 12);
        std::vector<bool> allowed(documents, true);
        const bool masked = random() % 2 == 0;
        for (std::size_t d = 0; masked && d < documents; ++d) allowed[d] = random() % 3 == 0;
        std::vector<std::vector<lsr::BlockMask>> masks(indexes.size());
        std::vector<lsr::Part> parts;
        for (std::size_t p = 0; p < indexes.size(); ++p) {
            if (masked) {
                masks[p] = block_masks(
                    indexes[p], {allowed.begin() + static_cast<std::ptrdiff_t>(starts[p]),
                                 allowed.begin() + static_cast<std::ptrdiff_t>(starts[p + 1])});
            }
            parts.push_back({&indexes[p], {masks[p]}, static_cast<lsr::DocId>(starts[p])});
        }
        const auto exact = expected(corpus, query, k, allowed);
        for (const auto choice : {Choice::fastest, Choice::exhaustive, Choice::block_pruning}) {
            const auto found = lsr::search(parts, {query.terms, query.weights}, k, 0, {}, choice,
                                           lsr::best_kernels(), scratch);
            if (!same(found.documents, exact) || found.unseen != 0) {
                fail("an exact search of several parts differs");
            }
        }
        lsr::Pruning pruning;
        pruning.factor = 0.3 + 0.1 * static_cast<double>(random() % 8);
        pruning.budget = std::chrono::microseconds(random() % 3);
        const auto found = lsr::search(parts, {query.terms, query.weights}, k, 0, pruning,
                                       Choice::fastest, lsr::best_kernels(), scratch);
        check_certificate(found.documents, exact, found.unseen);
    }
}

void check_corpus(std::mt19937& random, std::size_t documents, std::size_t vocabulary,
                  std::size_t longest, bool ties, int queries) {
    const auto corpus = random_corpus(random, documents, vocabulary, longest, ties);
    if (documents > 0) check_parts(random, corpus, documents, vocabulary, queries);
    for (const bool reorder : {false, true}) {
        const auto arrays = lsr::build(corpus.view(), vocabulary, {reorder, 2});
        if (lsr::build(corpus.view(), vocabulary, {reorder, 1}).order != arrays.order) {
            fail("the order depends on the number of threads");
        }
        const auto index = arrays.view();
        lsr::validate_shape(index);
        check_packed_lists(arrays, vocabulary);
        for (int q = 0; q < queries; ++q) {
            const auto query = random_query(random, vocabulary, 30);
            const bool masked = random() % 2 == 0;
            std::vector<bool> allowed(documents, true);
            const auto share = 1 + random() % 8;
            for (std::size_t d = 0; masked && d < documents; ++d) {
                allowed[d] = random() % share == 0;
            }
            const bool many = random() % 3 == 0;
            const std::size_t k = 1 + random() % (many ? 2 * documents + 1 : 12);
            compare(corpus, index, query, k, allowed, masked, random);
        }
    }
}

// A byte is another; or there is one more or less.
void damage(std::vector<std::uint8_t>& bytes, std::mt19937& random) {
    switch (random() % 6) {
        case 0: bytes.push_back(0); break;
        case 1: bytes.pop_back(); break;
        default: break;
    }
    auto& byte = bytes[random() % bytes.size()];
    byte = static_cast<std::uint8_t>(random() % 2 == 0 ? byte ^ (1U << random() % 8) : random());
}

void spoil(lsr::BlockMask& mask, std::mt19937& random) {
    mask = static_cast<lsr::BlockMask>(mask ^ 1U << random() % 16);
}

// Damage of one string of bytes: refused, or harmless to search.
void check_damage(std::mt19937& random) {
    const auto corpus = random_corpus(random, 300, 40, 12, false);
    const auto intact = lsr::build(corpus.view(), 40, {true, 1});
    std::vector<lsr::Scratch> scratch;
    std::size_t refused = 0;
    constexpr std::size_t rounds = 2500;
    for (std::size_t round = 0; round < rounds; ++round) {
        auto packed = lsr::pack_lists(intact.view());
        auto order = intact.order;
        switch (random() % 6) {
            case 0: order[random() % order.size()] = static_cast<lsr::DocId>(random() % 301); break;
            case 1: damage(packed.terms, random); break;
            case 2: damage(packed.lengths, random); break;
            case 3: damage(packed.documents, random); break;
            case 4: spoil(packed.masks[random() % packed.masks.size()], random); break;
            default: damage(packed.weights, random); break;
        }
        try {
            Unpacked damaged(packed, order, 40);
            if (round % 2 == 0) damaged.complete();
            const auto query = random_query(random, 40, 30);
            for (const auto choice : {Choice::exhaustive, Choice::block_pruning}) {
                const lsr::Part part{&damaged.lists.index(), {}};
                (void)lsr::search({&part, 1}, {query.terms, query.weights}, 5, 0, {}, choice,
                                  lsr::best_kernels(), scratch);
            }
        } catch (const std::invalid_argument&) {
            ++refused;
        }
    }
    if (4 * refused < rounds) fail("hardly any damage was refused");
}

void check_finite() {
    std::vector<float> values(37, -3e38F);
    if (!lsr::all_finite(values)) fail("finite values are called infinite");
    for (auto& value : values) {
        for (const auto bad : {std::numeric_limits<float>::infinity(),
                               -std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::quiet_NaN()}) {
            value = bad;
            if (lsr::all_finite(values)) fail("a value that is not finite is called finite");
        }
        value = 0;
    }
}

// Everything that the inner loops of one kind make of the same input.
struct KernelResults {
    std::vector<lsr::Bound> bounds, chunk_max;
    std::vector<lsr::BlockId> selected;
    std::vector<std::uint16_t> active;
    std::vector<std::uint32_t> found, reaching, chosen;
    std::vector<std::array<lsr::Bound, lsr::block_size>> lanes;
    std::vector<std::int32_t> places;
    std::vector<lsr::Bound> tightened;

    bool operator==(const KernelResults&) const = default;
};

KernelResults run_kernels(const lsr::Kernels& kernels, const lsr::BlockIndex& index,
                          const std::vector<lsr::WideTerm>& terms, lsr::Bound needed,
                          lsr::Bound needed_of_document) {
    KernelResults r;
    const auto blocks = index.row_stride();
    r.bounds.assign(blocks, 7);
    r.chunk_max.resize(blocks / lsr::chunk_size);
    kernels.sweep(terms.data(), terms.size(), r.bounds.data(), blocks, r.chunk_max.data());
    r.selected.resize(blocks);
    r.selected.resize(kernels.select(r.bounds.data(), blocks, r.chunk_max.data(), needed,
                                     r.selected.data()));
    std::erase_if(r.selected, [&](auto block) { return block >= index.block_count(); });
    const auto count = r.selected.size();
    r.lanes.resize(count);
    r.found.resize(count * terms.size());
    for (std::size_t i = 0; i < count; ++i) {
        r.lanes[i].fill(r.bounds[r.selected[i]]);
        r.active.push_back(static_cast<std::uint16_t>(i));
        r.reaching.push_back(kernels.reaching(r.lanes[i], needed));
    }
    const lsr::Candidates candidates{r.selected.data(), r.lanes.data()};
    auto active = count;
    for (std::size_t t = 0; t < terms.size(); ++t) {
        active = kernels.refine(terms[t], terms[t], candidates, r.active.data(), active,
                                needed_of_document, r.found.data() + t * count);
    }
    r.active.resize(active);
    std::vector<lsr::Candidate> documents;
    for (const auto slot : r.active) {
        for (auto lanes = kernels.reaching(r.lanes[slot], needed_of_document); lanes != 0;
             lanes &= lanes - 1) {
            const auto lane = static_cast<std::uint16_t>(std::countr_zero(lanes));
            documents.push_back({slot, r.selected[slot], lane, r.lanes[slot][lane]});
            r.chosen.push_back(static_cast<std::uint32_t>(r.chosen.size()));
        }
    }
    r.places.resize(documents.size() * terms.size());
    auto chosen = r.chosen.size();
    for (std::size_t t = 0; t < terms.size(); ++t) {
        auto* places = r.places.data() + t * documents.size();
        kernels.locate(terms[t], documents.data(), r.chosen.data(), chosen,
                       r.found.data() + t * count, places);
        chosen = kernels.tighten(terms[t], 900, documents.data(), r.chosen.data(), chosen, places,
                                 needed_of_document);
    }
    r.chosen.resize(chosen);
    for (const auto& document : documents) r.tightened.push_back(document.bound);
    return r;
}

// Every kernel of every kind equals the scalar one, at bounds that are met exactly too.
void check_kernels(std::mt19937& random) {
    const auto corpus = random_corpus(random, 5000, 60, 25, true);
    const auto arrays = lsr::build(corpus.view(), 60, {true, 1});
    const auto index = arrays.view();
    std::size_t reached = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<lsr::WideTerm> terms;
        for (std::size_t place = 0; place < index.terms.size(); ++place) {
            if (index.rows[place] < 0 || random() % 5 != 0 || terms.size() == 12) continue;
            const auto row = static_cast<std::size_t>(index.rows[place]);
            terms.push_back({index.block_max.data() + row * index.row_stride(),
                             index.groups.data() + row * index.group_count(),
                             index.masks.data() + index.mask_starts[row],
                             index.weights.data() + index.weight_starts[place],
                             static_cast<std::uint16_t>(random() % 4000)});
        }
        // Bounds of few distinct values, so that many are exactly what is needed.
        const auto all = run_kernels(lsr::scalar_kernels(), index, terms, 1, 1);
        if (all.selected.empty()) continue;
        const auto needed = all.bounds[all.selected[random() % all.selected.size()]];
        const auto needed_of_document =
            all.tightened.empty() ? needed : all.tightened[random() % all.tightened.size()];
        for (const auto of_document : {std::max<lsr::Bound>(needed_of_document, 1), needed}) {
            const auto expected =
                run_kernels(lsr::scalar_kernels(), index, terms, needed, of_document);
            reached += expected.chosen.size();
            for (const auto* name : {"avx2"}) {
                const auto* kernels = lsr::kernels_named(name);
                if (kernels != nullptr &&
                    !(run_kernels(*kernels, index, terms, needed, of_document) == expected)) {
                    fail(std::string("kernels differ from the scalar ones: ") + name);
                }
            }
        }
    }
    if (reached == 0) fail("the kernels were tested on nothing");
}

void check_checksums(std::mt19937& random) {
    for (std::size_t size = 0; size < 300; ++size) {
        std::vector<std::uint8_t> bytes(size);
        for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
        const auto sum = lsr::checksum(bytes);
        if (sum != lsr::checksum_by_table(bytes)) fail("checksums differ");
        for (auto& byte : bytes) {
            byte ^= 1;
            if (lsr::checksum(bytes) == sum) fail("a flipped bit keeps the checksum");
            byte ^= 1;
        }
    }
}

lsr::UnpackedRows unpack(const lsr::PackedRows& packed) {
    return lsr::unpack_rows(packed.terms, packed.term_starts, packed.weights,
                            packed.weight_starts);
}

void check_packed_rows(std::mt19937& random) {
    for (int round = 0; round < 300; ++round) {
        lsr::UnpackedRows rows;
        rows.starts.push_back(0);
        for (auto row = random() % 4; row > 0; --row) {
            std::int64_t term = -1;
            for (auto left = random() % 70; left > 0; --left) {
                term += 1 + static_cast<std::int64_t>(random() >> (random() % 32));
                if (term > std::numeric_limits<std::int32_t>::max()) break;
                rows.terms.push_back(static_cast<std::int32_t>(term));
                rows.weights.push_back(static_cast<std::uint16_t>(random() >> (random() % 32)));
            }
            rows.starts.push_back(static_cast<std::int64_t>(rows.terms.size()));
        }
        auto packed = lsr::pack_rows(rows.starts, rows.terms, rows.weights);
        const auto again = unpack(packed);
        if (again.starts != rows.starts || again.terms != rows.terms ||
            again.weights != rows.weights) {
            fail("packed rows come back as others");
        }
        for (auto* bytes : {&packed.terms, &packed.weights}) {
            for (int change = 0; change < 20 && !bytes->empty(); ++change) {
                (*bytes)[random() % bytes->size()] = static_cast<std::uint8_t>(random());
                try {
                    const auto found = unpack(packed);
                    if (found.terms.size() != found.weights.size()) fail("a term has no weight");
                } catch (const std::invalid_argument&) {
                }
            }
        }
    }
}

// Vectors of small and of large memory, as they grow from the one into the other.
void check_large_pages() {
    lsr::LargeVector<std::uint32_t> grown;
    for (std::uint32_t i = 0; i < 3'000'000; ++i) grown.push_back(i);
    const auto copy = grown;
    grown.resize(10);
    grown.shrink_to_fit();
    for (std::uint32_t i = 0; i < copy.size(); ++i) {
        if (copy[i] != i || (i < grown.size() && grown[i] != i)) fail("a large vector differs");
    }
}

}  // namespace

int main() {
    std::mt19937 random(20261121);
    for (const std::size_t documents : {0, 1, 2, 15, 16, 17, 63, 1023, 1024, 1025}) {
        for (const bool ties : {false, true}) {
            check_corpus(random, documents, 50, 20, ties, 12);
            check_corpus(random, documents, 3, 3, ties, 12);
        }
    }
    check_corpus(random, 9000, 200, 25, false, 12);
    check_corpus(random, 9000, 200, 25, true, 12);
    check_corpus(random, 40, 70000, 6000, false, 12);
    check_corpus(random, 20000, 3, 3, true, 4);
    check_kernels(random);
    check_lists_as_needed(random, 3000, 200);
    check_damage(random);
    check_finite();
    check_large_pages();
    check_checksums(random);
    check_packed_rows(random);
    check_marking(random);
    std::puts("all searches equal exhaustive scoring");
    return 0;
}
