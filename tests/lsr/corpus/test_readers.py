"""Every kind of source gives the documents that were written into it, and says what it can't."""

import gzip
import io
import json
import lzma
import sys
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus import files, items
from lsr.corpus.documents import Document
from lsr.corpus.files import numbered_lines
from lsr.corpus.json_values import parse_json
from lsr.corpus.readers.corpus import Corpus
from lsr.errors import InputError, LsrError, MissingDependencyError, NotFoundError

PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
DOCUMENTS = [
    Document("1", "naïve café", "Título", {"year": 1999}),
    Document("2", ""),
    Document("3", "line\nbreak\ttab \u2028 separator", "中文"),
]


def jsonl(documents=DOCUMENTS):
    return "".join(
        json.dumps({"_id": d.id, "title": d.title, "text": d.text, "metadata": d.metadata}) + "\n"
        for d in documents
    ).encode()


def write(path, content, zipped=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PACK[zipped](content))
    return path


def read(source):
    return list(Corpus(str(source)))


def documents(source):
    return [item.document for item in read(source)]


def reasons(source):
    return [(item.line, item.reason) for item in read(source) if item.document is None]


@pytest.fixture(params=PACK)
def zipped(request):
    return request.param


def gz(name, zipped):
    return name + zipped


def test_beir_folder(tmp_path, zipped):
    write(tmp_path / gz("corpus.jsonl", zipped), jsonl(), zipped)
    write(tmp_path / "notes.txt", b"no document")
    assert documents(tmp_path) == DOCUMENTS


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".ndjson"])
def test_jsonl_file(tmp_path, zipped, suffix):
    path = write(tmp_path / gz(f"a{suffix}", zipped), jsonl(), zipped)
    assert documents(path) == DOCUMENTS


def test_items_name_their_file_and_line(tmp_path):
    path = write(tmp_path / "a.jsonl", b"\n" + jsonl())
    assert [item.place for item in read(path)] == [f"{path}:{line}" for line in (2, 3, 4)]


@pytest.mark.parametrize(
    "content",
    [
        b"1\ttext one\n2\ttitle\ttext two\r\n\n3\t\nid\tno header\n",
        b"id\ttitle\ttext\n1\t\ttext one\n2\ttitle\ttext two\r\n\n3\t\t\nid\t\tno header\n",
        b"text\tTitle\tDOCID\r\ntext one\t\t1\ntext two\ttitle\t2\n\n\t\t3\nno header\t\tid",
        b'_id\tcontents\ttitle\n1\ttext one\t\n2\t"text two"\ttitle\n3\t""\t\nid\tno header\t\n',
    ],
)
def test_tsv_file_with_two_or_three_columns(tmp_path, zipped, content):
    path = write(tmp_path / gz("a.tsv", zipped), content, zipped)
    assert documents(path) == [
        Document("1", "text one"),
        Document("2", "text two", "title"),
        Document("3", ""),
        Document("id", "no header"),
    ]


def test_tsv_lines_of_other_widths_are_refused(tmp_path):
    path = write(tmp_path / "a.tsv", b"1\tone\nalone\n2\ta\tb\tc\n\tno id\n3\tthree\n")
    assert [document and document.id for document in documents(path)] == [
        "1",
        None,
        None,
        None,
        "3",
    ]
    complaints = ["has 1 columns", "has 4 columns", "has no id"]
    assert [line for line, _ in reasons(path)] == [2, 3, 4]
    assert all(c in reason for c, (_, reason) in zip(complaints, reasons(path), strict=True))


def test_folder_of_texts(tmp_path, zipped):
    write(tmp_path / gz("b.txt", zipped), "zwei\r\nlines é".encode(), zipped)
    write(tmp_path / "deep/er" / gz("a.md", zipped), b"# one", zipped)
    write(tmp_path / "picture.png", b"\x89PNG")
    assert [(d.id, d.text) for d in documents(tmp_path)] == [
        (gz("b.txt", zipped), "zwei\r\nlines é"),
        (f"deep/er/{gz('a.md', zipped)}", "# one"),
    ]


def test_single_text_file(tmp_path):
    path = write(tmp_path / "notes.rst", b"hello")
    assert documents(path) == [Document("notes.rst", "hello", "notes")]


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(jsonl() + b"broken\n")))
    items = read("-")
    assert [item.document for item in items] == [*DOCUMENTS, None]
    assert items[-1].place == "standard input:4"


class TitledDoc(NamedTuple):
    doc_id: str
    title: str
    text: str

    def default_text(self):
        return f"{self.title} {self.text}"


class PartsDoc(NamedTuple):
    doc_id: str
    head: str
    body: str

    def default_text(self):
        return f"{self.head} / {self.body}"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (TitledDoc, [Document("d1", "one", "first"), Document("d2", "zwei", "zweitens")]),
        (PartsDoc, [Document("d1", "first / one"), Document("d2", "zweitens / zwei")]),
    ],
)
def test_ir_datasets(tmp_path, monkeypatch, kind, expected):
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    import ir_datasets
    from ir_datasets.formats import TsvDocs
    from ir_datasets.util import LocalDownload

    path = write(tmp_path / "docs.tsv", b"d1\tfirst\tone\nd2\tzweitens\tzwei\n")
    docs = TsvDocs(LocalDownload(path), doc_cls=kind)
    name = f"local-readers-{kind.__name__}"
    ir_datasets.registry.register(name, ir_datasets.Dataset(docs))
    corpus = Corpus(f"irds:{name}")
    assert [item.document for item in corpus] == expected
    assert corpus.fraction is None
    docs.docs_store().build()
    assert [item.document for item in corpus] == expected
    assert corpus.fraction == 1


def test_missing_ir_datasets_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[datasets\]'"):
        Corpus("irds:beir/scifact/test")


def test_unknown_ir_dataset():
    with pytest.raises(NotFoundError, match="'no/such' is neither a folder nor a dataset"):
        Corpus("irds:no/such")


def test_byte_order_mark_is_no_text(tmp_path, zipped):
    content = b"\xef\xbb\xbf" + jsonl()
    assert documents(write(tmp_path / gz("a.jsonl", zipped), content, zipped)) == DOCUMENTS


def test_broken_lines_are_items_with_their_line_number(tmp_path, zipped):
    lines = [
        b'{"_id": "1", "text": "good"}',
        b'{"_id": "2", "text": ',
        b"",
        b'["a list"]',
        b'{"_id": "3", "text": "caf\xe9"}',
        b'{"_id": "4", "text": "a", "x": NaN}',
        b'{"_id": "5", "text": "a", "x": 1e999}',
        b'{"_id": "6", "text": "\\ud800"}',
        b'{"_id": "7", "text": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"_id": "8", "text": "good"}',
    ]
    path = write(tmp_path / gz("a.jsonl", zipped), b"\n".join(lines), zipped)
    assert [document.id for document in documents(path) if document] == ["1", "8"]
    found = dict(reasons(path))
    complaints = {
        2: "not valid JSON",
        4: "not a list",
        5: f"not UTF-8 at byte {lines[4].index(0xE9)}",
        6: "number NaN",
        7: "number 1e999",
        8: "surrogate",
        9: "nested too deeply",
    }
    assert found.keys() == complaints.keys()
    assert all(complaint in found[line] for line, complaint in complaints.items())


@pytest.mark.parametrize("depth", [90, 200, 900, 980, 985, 990, 1000])
def test_deeply_nested_metadata_is_stored_or_refused(tmp_path, depth):
    line = f'{{"_id": "1", "text": "a", "x": {"[" * depth}{"]" * depth}}}\n'
    (item,) = read(write(tmp_path / "a.jsonl", line.encode()))
    assert (item.document is not None) == (depth < 100)
    assert item.document is None or len(item.document.digest()) == 16


def test_over_long_lines_are_skipped_whole(tmp_path, monkeypatch, zipped):
    monkeypatch.setattr(items, "LONGEST_LINE", 100)
    rows = [{"_id": str(size), "text": "x" * size} for size in (10, 60, 99, 150, 1000, 20)]
    lines = [json.dumps(row).encode() + b"\n" for row in rows]
    path = write(tmp_path / gz("a.jsonl", zipped), b"".join(lines), zipped)
    fits = [len(line) <= 100 for line in lines]
    assert [item.document is not None for item in read(path)] == fits
    assert [line for line, reason in reasons(path) if "longer than" in reason] == [
        number for number, fit in enumerate(fits, start=1) if not fit
    ]


def test_over_long_text_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 100)
    write(tmp_path / "a.txt", b"x" * 100)
    write(tmp_path / "b.txt", b"x" * 101)
    assert [document is not None for document in documents(tmp_path)] == [True, False]


MANY = [Document(str(number), f"text {number * 7919}") for number in range(5000)]


def test_truncated_gz_gives_what_is_readable_and_says_so(tmp_path):
    whole = gzip.compress(jsonl(MANY))
    path = write(tmp_path / "a.jsonl.gz", whole[: len(whole) // 2])
    items = read(path)
    good = [item.document for item in items if item.document]
    assert 0 < len(good) < len(MANY)
    assert good == MANY[: len(good)]
    assert "can't be read further" in items[-1].reason


def test_damaged_gz_is_an_item_not_a_crash(tmp_path):
    damaged = bytearray(gzip.compress(jsonl(MANY)))
    damaged[20:60] = bytes(40)
    assert (
        "can't be read further" in read(write(tmp_path / "a.jsonl.gz", bytes(damaged)))[-1].reason
    )


def test_gz_that_is_none_is_an_item(tmp_path):
    assert "can't be read further" in reasons(write(tmp_path / "a.jsonl.gz", jsonl()))[-1][1]


@pytest.mark.parametrize("content", [b"caf\xe9\0\1", None, b"not gz", b""])
def test_unreadable_text_files_are_items(tmp_path, content):
    if content is None:
        content = bytearray(gzip.compress(jsonl(MANY)))
        content[20:60] = bytes(40)
    write(tmp_path / "a.txt", b"good")
    bad = write(
        tmp_path / ("b.txt" if content and content.startswith(b"caf") else "b.txt.gz"),
        bytes(content),
    )
    good, item = read(tmp_path)
    assert good.document.text == "good"
    if content:
        assert item.place == str(bad)
        assert "can't be read" in item.reason


@settings(max_examples=60)
@given(
    content=st.binary(max_size=300),
    name=st.sampled_from(["a.jsonl", "a.tsv", "a.txt", "a.jsonl.gz"]),
)
def test_any_bytes_give_items(tmp_path_factory, content, name):
    for item in read(write(tmp_path_factory.getbasetemp() / "bytes" / name, content)):
        assert (item.document is None) == bool(item.reason)
        assert "\n" not in item.reason


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("nothing.jsonl", "there is no file or folder"),
        ("", "there is no file or folder"),
        ("~no-such-user/a.jsonl", "there is no file or folder"),
        ("a\0b", "there is no file or folder"),
    ],
)
def test_missing_sources(tmp_path, monkeypatch, source, complaint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=complaint):
        Corpus(source)


@pytest.mark.parametrize("name", ["a.png", "a.exe.gz", "a", "a.gz"])
def test_unknown_suffix_names_the_known_ones(tmp_path, name):
    with pytest.raises(InputError, match=r"\.jsonl, .*, \.pdf, .*source code, plain, \.gz or \.xz"):
        Corpus(str(write(tmp_path / name, b"")))


def test_folder_without_texts_is_refused(tmp_path):
    write(tmp_path / "a.png", b"")
    with pytest.raises(InputError, match=r"no file that is read \(passed over: 1 \.png"):
        read(tmp_path)


def fractions(corpus):
    return [corpus.fraction for _ in corpus]


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "folder"])
def test_fraction_rises_to_one_on_every_pass(tmp_path, kind):
    if kind == "folder":
        for number in range(5):
            write(tmp_path / f"{number}.txt", b"text")
        corpus = Corpus(str(tmp_path))
    else:
        corpus = Corpus(
            str(write(tmp_path / f"a.{kind}", jsonl(MANY), ".gz" if kind.endswith("gz") else ""))
        )
    for _ in range(2):
        seen = fractions(corpus)
        assert seen == sorted(seen)
        assert corpus.fraction == 1
        assert seen[-1] <= 1


def test_fraction_of_standard_input_is_unknown(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(jsonl())))
    assert set(fractions(Corpus("-"))) == {None}


@settings(max_examples=100)
@given(st.text(max_size=30) | st.from_regex(r'[\[\]{}":,0-9.eE+\-a]{0,20}'))
def test_parse_json_gives_finite_json_or_refuses(text):
    try:
        value = parse_json(text)
    except LsrError:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_numbered_lines_count_from_one(tmp_path, zipped):
    path = write(tmp_path / gz("a.txt", zipped), "one\n\nthreé".encode(), zipped)
    assert list(numbered_lines(path)) == [(1, "one\n"), (2, "\n"), (3, "threé")]


@pytest.mark.parametrize("damage", ["cut", "bytes", "encoding"])
def test_numbered_lines_refuse_damaged_files(tmp_path, damage):
    content = bytearray(gzip.compress(jsonl(MANY)))
    if damage == "bytes":
        content[20:60] = bytes(40)
    path = write(tmp_path / "a.gz", bytes(content[: len(content) // 2]))
    if damage == "encoding":
        path = write(tmp_path / "a.txt", b"caf\xe9\n")
    with pytest.raises(InputError, match="can't be read further"):
        list(numbered_lines(path))
