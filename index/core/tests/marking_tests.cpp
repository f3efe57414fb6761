// Marked words against a loop over the characters of small texts, and weights of single documents
// against the rows they were built from; run under sanitizers.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../builder.hpp"
#include "../document_weights.hpp"
#include "../marking.hpp"

namespace {

void require(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
}

// The letters of these texts are words by themselves; so a run has a word for each of its letters.
std::vector<lsr::MarkWord> letters(lsr::RunTable& table, const std::string& run) {
    std::vector<lsr::MarkWord> words;
    std::uint32_t place = 0;
    for (std::size_t byte = 0; byte < run.size(); ++place) {
        const std::size_t size = static_cast<unsigned char>(run[byte]) < 0x80 ? 1 : 2;
        const auto letter = run.substr(byte, size);
        byte += size;
        if (letter == " " || letter == "\n" || letter == "\u00A0") continue;
        words.push_back({place, place + 1, {{table.number(letter), 1}}});
    }
    return words;
}

void check_marks(std::mt19937& random) {
    const std::vector<std::string> alphabet{"a", "B", "b", "c", " ", "\n", "\u00E9", "\u00A0"};
    lsr::RunTable table;
    for (int trial = 0; trial < 400; ++trial) {
        lsr::TextScanner scanner(table, lsr::Spellings({"b"}), 1000);
        std::vector<std::string> text(random() % 30);
        std::string whole;
        for (auto& character : text) whole += character = alphabet[random() % alphabet.size()];
        const std::size_t reach = random() % 40;
        const auto scanned = scanner.scan(whole, reach);
        for (const auto& [run, entry] : scanner.take_unknown()) {
            table.learn(*entry, letters(table, run));
        }
        const auto marks = lsr::mark(scanned, {{table.number("b"), 1}, {table.number("\u00E9"), 2}},
                                     random() % 10);
        std::vector<std::pair<std::size_t, std::size_t>> expected;
        for (std::size_t place = 0; place < std::min(reach, text.size()); ++place) {
            if (text[place] == "b" || text[place] == "\u00E9") {
                expected.emplace_back(place, place + 1);
            }
        }
        require(marks.words == expected, "other words are marked than those that match");
        require(marks.looked_at == std::min(reach, text.size()), "not all of a text is looked at");
    }
    // An end in the midst of a character is the end.
    lsr::TextScanner scanner(table, lsr::Spellings({""}), 1000);
    for (const char* cut : {"\xC3", "a\xE2\x80", "a \xF0\x9F"}) scanner.scan(cut, 100);
}

void check_weights(std::mt19937& random, std::size_t documents) {
    constexpr std::size_t vocabulary = 12;
    std::vector<std::int64_t> offsets{0};
    std::vector<lsr::TermId> terms;
    std::vector<lsr::HalfWeight> weights;
    std::vector<std::uint16_t> expected(documents * vocabulary);
    for (std::size_t d = 0; d < documents; ++d) {
        for (std::size_t term = 0; term < vocabulary; ++term) {
            if (random() % (term + 1) != 0) continue;
            const auto bits = static_cast<std::uint16_t>(1 + random() % 0x7BFF);
            terms.push_back(static_cast<lsr::TermId>(term));
            weights.push_back({bits});
            expected[d * vocabulary + term] = bits;
        }
        offsets.push_back(static_cast<std::int64_t>(terms.size()));
    }
    const auto arrays = lsr::build({offsets, terms, weights}, vocabulary, {true, 2});
    const auto index = arrays.view();
    std::vector<std::int64_t> all(documents);
    for (std::size_t d = 0; d < documents; ++d) all[d] = static_cast<std::int64_t>(d);
    std::vector<lsr::TermId> wanted;
    for (std::size_t term = 0; term < vocabulary; ++term) {
        wanted.push_back(static_cast<lsr::TermId>(term));
    }
    require(lsr::DocumentWeights(index).of(all, wanted) == expected,
            "a document's weights are not those it was built with");
}

}  // namespace

void check_marking(std::mt19937& random);

void check_marking(std::mt19937& random) {
    check_marks(random);
    for (const std::size_t documents : {1, 15, 16, 17, 1000, 3000}) check_weights(random, documents);
}
