// Finding the words of texts that have some terms, by a table of what runs of characters hold.
//
// A run is characters without white space, and the white space before. Places count characters,
// texts are UTF-8.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace lsr {

// A term's part of a word: how many of its characters.
struct MarkPiece {
    std::uint32_t term;
    std::uint32_t length;
};

struct MarkWord {
    std::uint32_t start;  // in its run
    std::uint32_t end;
    std::vector<MarkPiece> pieces;
};

// What is in a run. Its words by their places, the longer first of those that begin together, stand
// one behind the other in one piece of memory, since few of a text are ever in a cache: start, end,
// number of pieces, and term and length of each piece.
struct MarkRun {
    bool known = false;
    std::vector<std::uint32_t> words;
};

// What an encoder finds in runs. Addresses of runs stay as they are.
class RunTable {
public:
    MarkRun& run(std::string_view text);
    void learn(MarkRun& run, const std::vector<MarkWord>& words);
    // The number of a term, which is a new one where it has none yet.
    std::uint32_t number(std::string_view term);
    // About how many bytes it takes.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };
    std::unordered_map<std::string, MarkRun, Hash, std::equal_to<>> runs_;
    std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> numbers_;
    std::size_t bytes_ = 0;
};

// What stands, in lower case, in every run of ASCII that holds one of some terms.
class Spellings {
public:
    explicit Spellings(std::vector<std::string> parts);
    // Whether a run of ASCII holds one of them, in whatever case.
    [[nodiscard]] bool any_in(std::string_view run) const noexcept;

private:
    bool empty_ = false;  // one of them is: they are in every run
    std::bitset<256> single_;
    std::bitset<1 << 16> pairs_;    // those of two bytes
    std::bitset<1 << 16> triples_;  // hashes of the first three bytes of each of the longer ones
    std::vector<std::string> longer_;
};

struct FoundRun {
    const MarkRun* run;
    std::size_t start;
};

// The runs of a text that may hold a term, in reading order.
struct ScannedText {
    std::vector<FoundRun> runs;
    std::size_t looked_at = 0;  // characters, from its beginning
};

// Weights of terms, as whole numbers, by the number of each.
using MarkWeights = std::vector<std::pair<std::uint32_t, std::int64_t>>;

struct Marks {
    std::vector<std::pair<std::size_t, std::size_t>> words;  // ascending and disjoint
    std::size_t best = 0;  // where that word begins from which on most weight is within a window
    std::size_t looked_at = 0;
};

// Scans the texts of one answer, which share a budget of characters in distinct runs.
class TextScanner {
public:
    TextScanner(RunTable& table, Spellings spellings, std::size_t budget)
        : table_(table), spellings_(std::move(spellings)), budget_(budget) {}

    // Looks at so many characters, or fewer where the budget ends before.
    ScannedText scan(std::string_view text, std::size_t reach);

    // The runs met so far that the table doesn't know, each once.
    std::vector<std::pair<std::string, MarkRun*>> take_unknown() { return std::move(unknown_); }

private:
    RunTable& table_;
    Spellings spellings_;
    std::size_t budget_;
    std::unordered_set<const MarkRun*> met_;
    std::vector<std::pair<std::string, MarkRun*>> unknown_;
};

// The words of which the pieces with a weight are at least half of the characters; those of a run
// that overlap are one. Text from the first run on that isn't known counts as not looked at.
Marks mark(const ScannedText& text, const MarkWeights& weights, std::size_t window);

}  // namespace lsr
