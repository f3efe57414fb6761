#include "marking.hpp"

#include <algorithm>

namespace lsr {
namespace {

constexpr std::size_t entry_bytes = 100;
// Numbers that stand in a run for a word before its pieces, and for each of these.
constexpr std::size_t word_head = 3, piece_size = 2;

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

// Of three bytes, 16 bits.
std::size_t triple_of(unsigned char first, unsigned char second, unsigned char third) noexcept {
    const auto bytes = static_cast<std::uint32_t>(pair_of(first, second) << 8 | third);
    return (bytes * 0x9E3779B1U) >> 16;
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
        std::sort(weights_.begin(), weights_.end());
        for (const auto& [term, weight] : weights_) some_.set(term % some_.size());
    }
    // Its place among the weights, or their number.
    [[nodiscard]] std::size_t place(std::uint32_t term) const {
        if (!some_[term % some_.size()]) return weights_.size();
        const auto found = std::lower_bound(
            weights_.begin(), weights_.end(), term,
            [](const auto& each, std::uint32_t wanted) { return each.first < wanted; });
        if (found == weights_.end() || found->first != term) return weights_.size();
        return static_cast<std::size_t>(found - weights_.begin());
    }
    [[nodiscard]] std::int64_t weight(std::size_t place) const { return weights_[place].second; }
    [[nodiscard]] std::size_t size() const { return weights_.size(); }

private:
    MarkWeights weights_;     // ascending by term
    std::bitset<4096> some_;  // by the last bits of a term: most words have none
};

void add_matches(const FoundRun& found, const WeightTable& weights, std::vector<Match>& matches) {
    const auto of_earlier_runs = matches.size();
    const auto& words = found.run->words;
    std::vector<std::size_t> terms;
    for (std::size_t at = 0; at < words.size();) {
        const auto start = found.start + words[at], end = found.start + words[at + 1];
        const auto pieces_end = at + word_head + piece_size * words[at + 2];
        std::uint64_t matched = 0;
        terms.clear();
        for (at += word_head; at < pieces_end; at += piece_size) {
            const auto place = weights.place(words[at]);
            if (place == weights.size()) continue;
            matched += words[at + 1];
            add_distinct(terms, place);
        }
        if (terms.empty() || 2 * matched < end - start) continue;
        if (matches.size() > of_earlier_runs && start < matches.back().end) {
            auto& last = matches.back();
            last.end = std::max(last.end, end);
            for (const auto term : terms) add_distinct(last.terms, term);
        } else {
            matches.push_back({start, end, terms});
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

void RunTable::learn(MarkRun& run, const std::vector<MarkWord>& words) {
    if (run.known) return;
    std::size_t size = 0;
    for (const auto& word : words) size += word_head + piece_size * word.pieces.size();
    run.words.reserve(size);
    for (const auto& [start, end, pieces] : words) {
        run.words.insert(run.words.end(), {start, end, static_cast<std::uint32_t>(pieces.size())});
        for (const auto& [term, length] : pieces) run.words.insert(run.words.end(), {term, length});
    }
    bytes_ += size * sizeof(std::uint32_t);
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
            continue;
        }
        const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(part[i]); };
        if (part.size() == 1) {
            single_.set(byte(0));
        } else if (part.size() == 2) {
            pairs_.set(pair_of(byte(0), byte(1)));
        } else {
            triples_.set(triple_of(byte(0), byte(1), byte(2)));
            longer_.push_back(std::move(part));
        }
    }
}

bool Spellings::any_in(std::string_view run) const noexcept {
    if (empty_) return true;
    unsigned char before = 0, last = 0;
    for (std::size_t end = 1; end <= run.size(); ++end) {
        const auto first = std::exchange(before, last), second = before;
        last = lower(run[end - 1]);
        if (single_[last] || (end > 1 && pairs_[pair_of(second, last)])) return true;
        if (end < 3 || !triples_[triple_of(first, second, last)]) continue;
        const auto i = end - 3;
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
