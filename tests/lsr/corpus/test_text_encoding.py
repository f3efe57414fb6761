"""Whatever Unicode encoding a text file is in, and whatever its ends of line, it reads the same."""

import codecs
import gzip
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.files import numbered_lines
from lsr.corpus.items import Item, lines
from lsr.corpus.qrels import read_qrels
from lsr.corpus.queries import read_queries
from lsr.corpus.readers.corpus import Corpus
from lsr.corpus.text_encoding import as_utf8, decode_text
from lsr.errors import InputError
from lsr.train.config_file import read_toml
from lsr.train.pairs import read_pairs

WRITTEN = {
    "utf-8": lambda text: text.encode(),
    "utf-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "utf-16 with a mark": lambda text: text.encode("utf-16"),
    "utf-16-be with a mark": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-32 with a mark": lambda text: text.encode("utf-32"),
}


@pytest.fixture(params=WRITTEN)
def encoded(request):
    return WRITTEN[request.param]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


@given(TEXTS.filter(lambda text: not text.startswith("\ufeff")))
@pytest.mark.parametrize("mark", [name for name in WRITTEN if "mark" in name])
def test_a_text_with_a_mark_reads_as_it_was(mark, text):
    assert decode_text(WRITTEN[mark](text)).text == text
    assert as_utf8(io.BytesIO(WRITTEN[mark](text))).read().decode() == text


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_text_file_may_be_in_any_unicode_encoding(tmp_path, encoded, end):
    def written(name, *rows):
        path = tmp_path / name
        path.write_bytes(encoded("".join(row + end for row in rows)))
        return path

    qrels = written("qrels.tsv", "q1\td2\t1", "q2\td4\t1")
    assert read_qrels(qrels) == {"q1": {"d2": 1}, "q2": {"d4": 1}}
    assert [query.id for query in read_queries(str(written("q.tsv", "q1\tcafé", "q2\tb")))] == [
        "q1",
        "q2",
    ]
    (query,) = read_queries(str(written("q.jsonl", '{"_id": "q1", "text": "café 中"}')))
    assert query.text == "café 中"
    for name, rows in {
        "a.jsonl": ['{"id": "1", "text": "naïve 中"}'],
        "a.json": ["[", '{"id": "1", "text":', '"naïve 中"}', "]"],
        "a.csv": ["id,text", "1,naïve 中"],
        "a.tsv": ["id\ttext", "1\tnaïve 中"],
    }.items():
        (item,) = Corpus(str(written(name, *rows)))
        assert item.document, item.reason
        assert (item.document.id, item.document.text) == ("1", "naïve 中")
    (item,) = Corpus(str(written("a.txt", "naïve 中")))
    assert item.document.text == f"naïve 中{end}"
    (pair,) = read_pairs(str(written("p.jsonl", '{"query": "a", "positive": "b 中"}')))
    assert pair.positive == "b 中"
    assert read_toml(written("c.toml", 'a = "中"')) == {"a": "中"}


def test_a_bad_byte_spoils_its_line_only():
    found = list(lines(io.BytesIO(b"one\ncaf\xe9\nthree \xc3\xa9\n\xff"), "f"))
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert [isinstance(line, Item) for _, line in found] == [False, True, False, True]
    assert found[1][1].place == "f:2"
    assert found[1][1].reason.startswith("not UTF-8 at byte 3")


def test_half_a_surrogate_pair_in_utf_16_spoils_its_line_only():
    text = "one\n".encode("utf-16") + b"\x00\xd8" + "\nthree\n".encode("utf-16-le") + b"x"
    found = [line for _, line in lines(io.BytesIO(text), "f")]
    assert [isinstance(line, Item) for line in found] == [False, True, False, True]
    assert found[2] == "three\n"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_numbered_lines_name_the_line_that_is_no_text(tmp_path, pack):
    path = tmp_path / ("a.gz" if pack is gzip.compress else "a")
    path.write_bytes(pack(b"one\n" * 5000 + b"caf\xe9\nthree\n"))
    with pytest.raises(InputError, match=r":5001: .* not UTF-8 at byte 3"):
        list(numbered_lines(path))


def test_old_text_reads_as_windows_1252():
    assert decode_text("Übergröße – 5 €".encode("cp1252")) == ("Übergröße – 5 €", "cp1252")


@pytest.mark.parametrize(
    "data", [b"\x89PNG\r\n\x1a\n\0\0", b"\xff\x01\x02\x03", b"a\0b", b"\xff\xfe\0"]
)
def test_what_is_no_text_is_refused(data):
    with pytest.raises(InputError, match="it is no "):
        decode_text(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text_or_refused(data):
    with suppress(InputError):
        decode_text(data).text.encode()
    as_utf8(io.BytesIO(data)).read()
