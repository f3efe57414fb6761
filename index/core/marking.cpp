#include "marking.hpp"

#include <algorithm>

namespace lsr {
namespace {

constexpr std::size_t entry_bytes = 100;

struct Character {
    char32_t code;
    std::size_t bytes;
};

// The character that begins at a place of valid UTF-8.
Character character_at(std::string_view text, std::size_t place) noexcept {
    const auto byte = [&](std::size_t i) {
        return place + i < text.size() ? static_cast<unsigned char>(text[place + i]) & 0x3FU : 0U;
    };
    const auto first = static_cast<unsigned char>(text[place]);
    if (first < 0x80) return {first, 1};
    if (first < 0xE0) return {(first & 0x1FU) << 6 | byte(1), 2};
    if (first < 0xF0) return {(first & 0x0FU) << 12 | byte(1) << 6 | byte(2), 3};
    return {(first & 0x07U) << 18 | byte(1) << 12 | byte(2) << 6 | byte(3), 4};
}

// As Python's str.isspace.
constexpr bool is_ascii_space(std::size_t code) noexcept {
    return code == ' ' || (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F);
}

bool is_other_space(char32_t code) noexcept {
    return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
           code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

enum class Kind : unsigned char { letter, space, not_ascii };

constexpr auto kinds = [] {
    std::array<Kind, 256> table{};
    for (std::size_t c = 0; c < table.size(); ++c) {
        table[c] = c >= 0x80 ? Kind::not_ascii : is_ascii_space(c) ? Kind::space : Kind::letter;
    }
    return table;
}();

Kind kind_of(char c) noexcept { return kinds[static_cast<unsigned char>(c)]; }

// Reads the runs of a text, one after the other.
class RunReader {
public:
    RunReader(std::string_view text, std::size_t reach) : text_(text), reach_(reach) {}

    // False: there are no more; white space at the end is of no run.
    bool next() {
        begin_ = byte_;
        start_ = place_;
        ascii_ = true;
        skip(Kind::space);
        const bool found = more();
        skip(Kind::letter);
        return found;
    }
    [[nodiscard]] std::string_view run() const { return text_.substr(begin_, byte_ - begin_); }
    [[nodiscard]] bool ascii() const { return ascii_; }
    [[nodiscard]] std::size_t start() const { return start_; }  // in characters
    [[nodiscard]] std::size_t end() const { return place_; }

private:
    [[nodiscard]] bool more() const { return byte_ < text_.size() && place_ < reach_; }

    void skip(Kind kind) {
        while (more()) {
            const auto found = kind_of(text_[byte_]);
            if (found == kind) {
                ++byte_;
            } else if (found != Kind::not_ascii) {
                return;
            } else {
                const auto [code, bytes] = character_at(text_, byte_);
                if (is_other_space(code) != (kind == Kind::space)) return;
                ascii_ = false;
                byte_ += bytes;
            }
            ++place_;
        }
    }

    std::string_view text_;
    std::size_t reach_;
    std::size_t byte_ = 0, place_ = 0, begin_ = 0, start_ = 0;
    bool ascii_ = true;
};

constexpr auto lower_case = [] {
    std::array<unsigned char, 256> table{};
    for (std::size_t c = 0; c < table.size(); ++c) {
        table[c] = static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return table;
}();

unsigned char lower(char c) noexcept { return lower_case[static_cast<unsigned char>(c)]; }

std::size_t pair_of(unsigned char first, unsigned char second) noexcept {
    return static_cast<std::size_t>(first) << 8 | second;
}

// A word that matches, with the places of its terms among the weights.
struct Match {
    std::size_t start;
    std::size_t end;
    std::vector<std::size_t> terms;
};

void add_distinct(std::vector<std::size_t>& terms, std::size_t term) {
    if (std::find(terms.begin(), terms.end(), term) == terms.end()) terms.push_back(term);
}

class WeightTable {
public:
    explicit WeightTable(const MarkWeights& weights) : weights_(weights) {
        for (std::size_t i = 0; i < weights.size(); ++i) places_.emplace(weights[i].first, i);
    }
    // Its place among the weights, or their number.
    [[nodiscard]] std::size_t place(std::uint32_t term) const {
        const auto found = places_.find(term);
        return found == places_.end() ? weights_.size() : found->second;
    }
    [[nodiscard]] std::int64_t weight(std::size_t place) const { return weights_[place].second; }
    [[nodiscard]] std::size_t size() const { return weights_.size(); }

private:
    const MarkWeights& weights_;
    std::unordered_map<std::uint32_t, std::size_t> places_;
};

void add_matches(const FoundRun& found, const WeightTable& weights, std::vector<Match>& matches) {
    const auto of_earlier_runs = matches.size();
    for (const auto& word : found.run->words) {
        std::uint64_t matched = 0;
        std::vector<std::size_t> terms;
        for (const auto& piece : word.pieces) {
            const auto place = weights.place(piece.term);
            if (place == weights.size()) continue;
            matched += piece.length;
            add_distinct(terms, place);
        }
        if (terms.empty() || 2 * matched < word.end - word.start) continue;
        const auto start = found.start + word.start, end = found.start + word.end;
        if (matches.size() > of_earlier_runs && start < matches.back().end) {
            auto& last = matches.back();
            last.end = std::max(last.end, end);
            for (const auto term : terms) add_distinct(last.terms, term);
        } else {
            matches.push_back({start, end, std::move(terms)});
        }
    }
}

// Where the first word of the window that holds most weight of distinct terms begins.
std::size_t best_start(const std::vector<Match>& words, const WeightTable& weights,
                       std::size_t window) {
    std::vector<std::size_t> inside(weights.size());
    std::int64_t weight = 0, most = 0;
    std::size_t best = 0, last = 0;
    for (std::size_t first = 0; first < words.size(); ++first) {
        const auto start = words[first].start;
        last = std::max(last, first);
        for (; last < words.size() && words[last].end <= start + window; ++last) {
            for (const auto term : words[last].terms) {
                if (inside[term]++ == 0) weight += weights.weight(term);
            }
        }
        if (weight > most) {
            most = weight;
            best = start;
        }
        if (first >= last) continue;
        for (const auto term : words[first].terms) {
            if (--inside[term] == 0) weight -= weights.weight(term);
        }
    }
    return best;
}

}  // namespace

MarkRun& RunTable::run(std::string_view text) {
    if (const auto found = runs_.find(text); found != runs_.end()) return found->second;
    bytes_ += entry_bytes + text.size();
    return runs_.emplace(text, MarkRun{}).first->second;
}

void RunTable::learn(MarkRun& run, std::vector<MarkWord>&& words) {
    if (run.known) return;
    for (const auto& word : words) {
        bytes_ += sizeof(MarkWord) + word.pieces.size() * sizeof(MarkPiece);
    }
    run.words = std::move(words);
    run.known = true;
}

std::uint32_t RunTable::number(std::string_view term) {
    if (const auto found = numbers_.find(term); found != numbers_.end()) return found->second;
    bytes_ += entry_bytes + term.size();
    const auto number = static_cast<std::uint32_t>(numbers_.size());
    numbers_.emplace(term, number);
    return number;
}

Spellings::Spellings(std::vector<std::string> parts) {
    for (auto& part : parts) {
        if (part.empty()) {
            empty_ = true;
        } else if (part.size() == 1) {
            single_.set(static_cast<unsigned char>(part[0]));
        } else {
            pairs_.set(pair_of(static_cast<unsigned char>(part[0]),
                               static_cast<unsigned char>(part[1])));
            longer_.push_back(std::move(part));
        }
    }
}

bool Spellings::any_in(std::string_view run) const noexcept {
    if (empty_) return true;
    for (std::size_t i = 0; i < run.size(); ++i) {
        const auto first = lower(run[i]);
        if (single_[first]) return true;
        if (i + 1 == run.size() || !pairs_[pair_of(first, lower(run[i + 1]))]) continue;
        for (const auto& part : longer_) {
            if (part.size() <= run.size() - i &&
                std::equal(part.begin(), part.end(), run.begin() + static_cast<std::ptrdiff_t>(i),
                           [](char a, char b) { return static_cast<unsigned char>(a) == lower(b); })) {
                return true;
            }
        }
    }
    return false;
}

ScannedText TextScanner::scan(std::string_view text, std::size_t reach) {
    ScannedText found;
    RunReader reader(text, reach);
    while (reader.next()) {
        if (reader.ascii() && !spellings_.any_in(reader.run())) continue;
        auto& run = table_.run(reader.run());
        if (!met_.contains(&run)) {
            const auto length = reader.end() - reader.start();
            if (length > budget_) {
                found.looked_at = reader.start();
                return found;
            }
            budget_ -= length;
            met_.insert(&run);
            if (!run.known) unknown_.emplace_back(reader.run(), &run);
        }
        found.runs.push_back({&run, reader.start()});
    }
    found.looked_at = reader.end();
    return found;
}

Marks mark(const ScannedText& text, const MarkWeights& weights, std::size_t window) {
    const WeightTable table(weights);
    std::vector<Match> matches;
    Marks marks;
    marks.looked_at = text.looked_at;
    for (const auto& found : text.runs) {
        if (!found.run->known) {
            marks.looked_at = found.start;
            break;
        }
        add_matches(found, table, matches);
    }
    marks.best = best_start(matches, table, window);
    for (const auto& match : matches) marks.words.emplace_back(match.start, match.end);
    return marks;
}

}  // namespace lsr
