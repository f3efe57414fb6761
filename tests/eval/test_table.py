"""Tables are read again as what they were written from."""

import csv
import io
import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from eval.table import Column, Table, as_csv, as_latex, as_markdown

texts = st.text(max_size=12) | st.sampled_from(
    ["a|b", "a\\|b", "a\\", "\\\\|", "*x*", "_x_", "`a|b`", "<b>", "[x](y)", "&amp;", "~~s~~",
     "50 %", "a_b&c#d$e^f~g{h}", "[x]", "=1+1", 'say "x", y', "a\nb", "---", "é ü 中", "http://x.y"]
)  # fmt: skip
numbers = st.floats(-1e6, 1e6) | st.none() | st.integers(0, 10**6)
COLUMNS = [Column("name", "name"), Column("p_1", "a|b_%"), Column("n", "n", 4), Column("b", "b", 0)]
tables = st.lists(
    st.fixed_dictionaries({"name": texts, "p_1": texts, "n": numbers, "b": numbers}), max_size=4
).map(lambda rows: Table(COLUMNS, rows))


def shown(table):
    """The texts that people are to read; white space at the ends of a cell and repeats are free."""
    rows = [[each.heading for each in table.columns], *table.texts()]
    return [[" ".join(cell.split()) for cell in row] for row in rows]


@given(tables)
def test_csv_has_every_number_in_full(table):
    head, *rows = csv.reader(io.StringIO(as_csv(table), newline=""))
    assert head == ["name", "p_1", "n", "b"]
    for row, values in zip(rows, table.rows, strict=True):
        assert row[:2] == [values["name"], values["p_1"]]
        for text, value in zip(row[2:], (values["n"], values["b"]), strict=True):
            assert (float(text) if text else None) == value


@given(tables)
def test_markdown_is_rendered_as_the_texts(table):
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(as_markdown(table))
    assert [token.type for token in tokens if token.level == 0] == ["table_open", "table_close"]
    cells = [
        " ".join("".join(child.content for child in token.children).split())
        for token in tokens
        if token.type == "inline"
    ]
    assert all(
        child.type == "text" or child.type == "text_special"
        for token in tokens
        if token.type == "inline"
        for child in token.children
    )
    assert cells == [cell for row in shown(table) for cell in row]


UNESCAPED = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^",
    r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", r"\textquotedbl{}": '"',
    **{"\\" + letter: letter for letter in "&%$#_{}"},
}  # fmt: skip


def from_latex(cell):
    """The text of a cell; fails on a letter that LaTeX would take for a command."""
    if cell.startswith("{") and cell.endswith("}"):
        cell = cell[1:-1]
    parts = re.split("(" + "|".join(map(re.escape, UNESCAPED)) + ")", cell)
    assert not any(set(part) & set("\\~^<>|&%$#_{}") for part in parts[::2])
    return " ".join("".join(UNESCAPED.get(part, part) for part in parts).split())


@given(tables)
def test_latex_is_escaped(table):
    lines = as_latex(table).splitlines()
    assert lines[1] == r"\begin{tabular}{llrr}"
    body = [line for line in lines[2:-1] if not re.fullmatch(r"\\(top|mid|bottom)rule", line)]
    rows = []
    for line in body:
        assert line.endswith(r" \\")
        rows.append([from_latex(cell) for cell in re.split(r"(?<!\\) ?& ?", line[:-3])])
    assert [[cell.strip() for cell in row] for row in rows] == shown(table)


def test_numbers_have_their_decimals():
    row = {"name": "x", "p_1": "y", "n": 0.5, "b": 1234.5}
    assert Table(COLUMNS, [row]).texts() == [["x", "y", "0.5000", "1,234"]]
    assert "| x | y | 0.5000 | 1,234 |" in as_markdown(Table(COLUMNS, [row]))
