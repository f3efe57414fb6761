// Marking as Python sees it. Tables of runs change under the interpreter lock only.
#include "marking_bindings.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <tuple>

#include "marking.hpp"

namespace nb = nanobind;

namespace {

// Weights are at most 1, so that those of very many terms add up without overflow, and without
// rounding: what is taken away again leaves nothing behind.
constexpr double unit = 1 << 30;

std::string_view utf8(nb::handle text) {
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (bytes == nullptr) throw nb::python_error();
    return {bytes, static_cast<std::size_t>(size)};
}

using Pieces = std::vector<std::pair<std::string, std::uint32_t>>;
using Words = std::vector<std::tuple<std::uint32_t, std::uint32_t, Pieces>>;

void learn(lsr::RunTable& table, const nb::str& run, const Words& words) {
    std::vector<lsr::MarkWord> learned;
    for (const auto& [start, end, pieces] : words) {
        if (end < start) throw std::invalid_argument("a word ends before it begins");
        auto& word = learned.emplace_back(lsr::MarkWord{start, end, {}});
        for (const auto& [term, length] : pieces) {
            word.pieces.push_back({table.number(term), length});
        }
    }
    table.learn(table.run(utf8(run)), learned);
}

lsr::MarkWeights weights_of(lsr::RunTable& table, const nb::dict& weights) {
    lsr::MarkWeights found;
    for (const auto& [term, weight] : weights) {
        const auto value = nb::cast<double>(weight);
        if (!(value >= 0 && value <= 1)) {
            throw std::invalid_argument("the weights of terms to mark are 0 to 1");
        }
        found.emplace_back(table.number(utf8(term)),
                           static_cast<std::int64_t>(std::nearbyint(value * unit)));
    }
    return found;
}

nb::list unknown(lsr::TextScanner& scanner) {
    nb::list runs;
    for (const auto& [text, run] : scanner.take_unknown()) {
        if (!run->known) runs.append(nb::str(text.data(), text.size()));
    }
    return runs;
}

nb::tuple mark(const lsr::ScannedText& text, lsr::RunTable& table, const nb::dict& weights,
               std::size_t window) {
    const auto marks = lsr::mark(text, weights_of(table, weights), window);
    nb::list words;
    for (const auto& [start, end] : marks.words) words.append(nb::make_tuple(start, end));
    return nb::make_tuple(marks.best, words, marks.looked_at);
}

}  // namespace

void bind_marking(nb::module_& m) {
    nb::class_<lsr::RunTable>(m, "RunTable")
        .def(nb::init<>())
        .def("learn", &learn, nb::arg("run"), nb::arg("words"))
        .def_prop_ro("nbytes", &lsr::RunTable::bytes);
    nb::class_<lsr::ScannedText>(m, "ScannedText")
        .def("mark", &mark, nb::arg("table"), nb::arg("weights"), nb::arg("window"));
    nb::class_<lsr::TextScanner>(m, "TextScanner")
        .def(
            "__init__",
            [](lsr::TextScanner* self, lsr::RunTable& table, std::vector<std::string> spellings,
               std::size_t budget) {
                new (self) lsr::TextScanner(table, lsr::Spellings(std::move(spellings)), budget);
            },
            nb::keep_alive<1, 2>(), nb::arg("table"), nb::arg("spellings"), nb::arg("budget"))
        .def(
            "scan",
            [](lsr::TextScanner& self, const nb::str& text, std::size_t reach) {
                return self.scan(utf8(text), reach);
            },
            nb::keep_alive<0, 1>(), nb::arg("text"), nb::arg("reach"))
        .def("take_unknown", &unknown);
}
