"""Files that are one document: their title, what a reader sees of them, and where parts begin."""

import io
import sys
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.readers.corpus import Corpus
from lsr.corpus.readers.docx import read_docx
from lsr.corpus.readers.formats import DOCUMENT_ENDINGS
from lsr.corpus.readers.html import DEEPEST, read_html
from lsr.corpus.readers.markdown import read_markdown
from lsr.corpus.readers.pdf import read_pdf
from lsr.corpus.readers.restructured_text import read_restructured_text
from lsr.corpus.readers.source_code import read_source_code
from lsr.errors import InputError, MissingDependencyError
from tests.lsr.corpus.pdf_files import pdf


def headings(found):
    """Heading and the text that begins there, to the end of the line."""
    return [(each.heading, found.text[each.start :].splitlines()[0]) for each in found.sections]


PAGE = """<!doctype html><html><head><title>
 The &amp; title</title><style>p {}</style><script>var x = "no";</script></head>
<body><nav><a href="/">Home</a></nav><h1>First <i>heading</i></h1>
<p>A sentence
   over <b>two</b> lines.<br>A new line.</p><ul><li>one<li>two</ul><!-- no -->
<h2><a name="x"></a><div>Second</div></h2><pre>  keep
    this</pre><table><tr><th>a<th>b<tr><td>1<td>2</table><p hidden>&lt;tag&gt;</p></body></html>"""


def test_html_is_what_a_reader_sees():
    found = read_html(PAGE.encode())
    assert found.title == "The & title"
    assert found.text == (
        "First heading\n\nA sentence over two lines.\nA new line.\n\none\n\ntwo\n\nSecond\n\n"
        "  keep\n    this\n\na b\n\n1 2\n\n<tag>"
    )
    assert headings(found) == [("First heading",) * 2, ("Second",) * 2]


def test_a_page_without_title_has_its_first_heading():
    assert read_html(b"<h3>One</h3>text").title == "One"
    assert read_html(b"text").title == ""
    assert read_html(b"") == read_html(b"<frameset><frame>")


@pytest.mark.parametrize(
    ("encoding", "declared", "text"),
    [
        ("utf-8", "utf-8", "Übung 中"),
        ("latin-1", "ISO-8859-1", "Übung"),
        ("cp1251", "windows-1251", "Привет"),
        ("shift_jis", "Shift_JIS", "日本"),
        ("cp1252", "no-such-encoding", "Übung"),
        ("cp1252", "utf-8", "Übung"),
        ("utf-16", "utf-8", "Übung 中"),
        ("utf-8", "base64", "Übung"),
    ],
)
def test_html_in_the_encoding_that_it_declares(encoding, declared, text):
    page = f'<html><head><meta charset="{declared}"></head><body>{text}</body></html>'
    assert read_html(page.encode(encoding)).text == text
    older = f"<meta http-equiv='Content-Type' content='text/html; charset={declared}'>{text}"
    assert read_html(older.encode(encoding)).text == text


def test_html_that_no_parser_reads_in_time_is_refused():
    with pytest.raises(InputError, match="nested more than"):
        read_html(b"<div>" * 200_000 + b"x")
    assert read_html(b"<div>" * (DEEPEST - 1) + b"x").text == "x"
    assert len(read_html(b"<li>a<br><p>b" * 20_000).text) > 80_000


def test_markdown():
    front = "---\r\nauthor: A\ntitle: 'In front'\n---\n"
    text = f"{front}# One `x`\n\n```\n# no heading\n```\nTwo\n===\nx\n"
    found = read_markdown(text.encode())
    assert (found.title, found.text) == ("In front", text)
    assert headings(found) == [("One `x`", "# One `x`"), ("Two", "Two")]
    assert read_markdown(b"a\r\n\r\n# One\r\n\r\n## Two ##").title == "One"
    assert read_markdown(b"a\n---\nb").sections[0].heading == "a"


def test_restructured_text():
    text = "=====\nTitle\n=====\n\nOne *x*\n-------\ntext\n\nnot\n-\n\n.. code::\n\nTwo\n~~~\r\nx"
    found = read_restructured_text(text.encode())
    assert (found.title, found.text) == ("Title", text)
    assert headings(found) == [("Title",) * 2, ("One *x*",) * 2, ("Two",) * 2]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("def one(x):", "one"),
        ("    async def two():", "two"),
        ("pub(crate) fn three<T>() {", "three"),
        ("export default class Four {", "Four"),
        ("func Five() {", "Five"),
        ("sub six {", "six"),
        ("public interface Seven {", "Seven"),
    ],
)
def test_source_code_tells_its_definitions(line, name):
    text = f"# a comment about def none\n{line}\n    define(x)\n"
    found = read_source_code(text.encode())
    assert found.text == text
    assert headings(found) == [(name, line)]


def test_pdf_by_page():
    pages = [f"page {number} speaks of topic {number * 7}" for number in range(1, 31)]
    found = read_pdf(pdf(*pages, title="A manual"))
    assert found.title == "A manual"
    assert [each.page for each in found.sections] == list(range(1, 31))
    for section, page in zip(found.sections, pages, strict=True):
        assert found.text[section.start :].startswith(page)


def test_a_page_that_cannot_be_read_is_noted(tmp_path):
    pytest.importorskip("pypdf")
    (tmp_path / "a.pdf").write_bytes(pdf("one", "two", "three", broken=[1]))
    corpus = Corpus(str(tmp_path))
    (item,) = corpus
    assert "one" in item.document.text
    assert "three" in item.document.text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no PDF"),
        (b"no pdf", "no PDF"),
        (pdf("a")[:300], "no PDF|no text"),
        (pdf(""), "no text"),
    ],
)
def test_pdf_without_text_is_refused(data, reason):
    with pytest.raises(InputError, match=reason):
        read_pdf(data)


@pytest.fixture
def word():
    docx = pytest.importorskip("docx")

    def write(title=""):
        document = docx.Document()
        document.core_properties.title = title
        document.add_heading("Over all", 0)
        document.add_paragraph("First.")
        table = document.add_table(1, 2)
        table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
        document.add_heading("Part", 2)
        document.add_paragraph("Last.")
        out = io.BytesIO()
        document.save(out)
        return out.getvalue()

    return write


def test_docx(word):
    found = read_docx(word("Named"))
    assert found.title == "Named"
    assert found.text == "Over all\n\nFirst.\n\nleft right\n\nPart\n\nLast."
    assert headings(found) == [("Over all",) * 2, ("Part",) * 2]
    assert read_docx(word()).title == "Over all"


def test_what_is_no_docx_is_refused(word, monkeypatch):
    whole = word()
    for data in (b"", b"PK\3\4", whole[:-100], whole[:2000] + bytes(500) + whole[2500:]):
        with pytest.raises(InputError, match="no Word file"):
            read_docx(data)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("word/document.xml", bytes(300 << 20))
    with pytest.raises(InputError, match="unpacks to more than 256 MiB"):
        read_docx(bomb.getvalue())


@pytest.mark.parametrize(("ending", "module"), [(".pdf", "pypdf"), (".docx", "docx")])
def test_a_missing_extra_is_counted_with_the_line_that_installs_it(
    tmp_path, monkeypatch, ending, module
):
    (tmp_path / f"a{ending}").write_bytes(b"x")
    (tmp_path / "b.txt").write_text("text")
    monkeypatch.setitem(sys.modules, module, None)
    corpus = Corpus(str(tmp_path))
    assert [item.document.id for item in corpus] == ["b.txt"]
    assert f"1 {ending} (" in corpus.passed_over.sentence()
    assert "pip install 'lsr-search[files]'" in corpus.passed_over.sentence()
    assert corpus.passed_over.incomplete
    with pytest.raises(MissingDependencyError):
        list(Corpus(str(tmp_path / f"a{ending}")))


@given(st.binary(max_size=300), st.sampled_from(sorted(DOCUMENT_ENDINGS)))
def test_any_bytes_are_a_text_or_refused(data, ending):
    try:
        found = DOCUMENT_ENDINGS[ending](data)
    except InputError:
        return
    assert all(0 <= each.start <= len(found.text) for each in found.sections)


@given(
    st.lists(
        st.sampled_from(
            ["<h1>", "</h1>", "<p>", "<pre>", "a b", "\n", "<td>", "</pre>", "<b>", "<nav>", "<br>"]
        ),
        max_size=20,
    )
)
def test_sections_of_any_page_begin_with_their_heading(parts):
    found = read_html("".join(parts).encode())
    assert all(
        " ".join(found.text[each.start :].split()).startswith(each.heading)
        for each in found.sections
    )
