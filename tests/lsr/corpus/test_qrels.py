"""Judgements are read from TREC and BEIR files alike, and written as TREC."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus.qrels import read_qrels, write_qrels
from lsr.errors import InputError

# A mark (BOM) or zeros at the beginning of a file tell how it is encoded.
letters = st.characters(codec="utf-8", exclude_characters="\ufeff\0")
ids = st.text(letters, min_size=1, max_size=8).filter(
    lambda identifier: not any(map(str.isspace, identifier))
)
some_qrels = st.dictionaries(
    ids, st.dictionaries(ids, st.integers(-2, 4), min_size=1, max_size=4), min_size=1, max_size=4
)
QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": 1}}


@settings(max_examples=100)
@given(some_qrels)
def test_qrels_read_back_are_those_written(tmp_path_factory, qrels):
    path = tmp_path_factory.getbasetemp() / "round-trip.qrels"
    write_qrels(path, qrels)
    assert read_qrels(path) == qrels


@pytest.mark.parametrize(
    "content",
    [
        "q1 0 d1 2\nq1 0 d2 0\nq2 0 d1 1\n",
        "q1\t0\td1\t2\r\n\r\nq1\t0\td2\t0\r\nq2\t0\td1\t1",
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t1\n",
        "q1\td1\t2\nq1\td2\t0\nq2\td1\t1\n",
        "\ufeffq1\td1\t2\nq1\td2\t0\nq2\td1\t1\n",
        "Corpus-ID\tquery-id\tscore\nd1\tq1\t2\nd2\tq1\t0\nd1\tq2\t1\n",
        "relevance by qid x docno\n2 me q1 - d1\n0 me q1 - d2\n1 me q2 - d1\n",
        "query iteration document grade\nq1 0 d1 2\nq1 0 d2 0\nq2 0 d1 1\n",
        "\ufeffqid\tdocid\tRelevance\r\nq1\td1\t2\r\nq1\td2\t0\r\nq2\td1\t1\r\n",
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_layout_gives_the_same_judgements(tmp_path, content, zipped):
    path = tmp_path / ("a.tsv.gz" if zipped else "a.tsv")
    path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    assert read_qrels(path) == QRELS


def test_beir_ids_may_hold_spaces(tmp_path):
    (tmp_path / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq 1\tsome doc\t1\n")
    assert read_qrels(tmp_path / "test.tsv") == {"q 1": {"some doc": 1}}


@pytest.mark.parametrize("identifier", ["a b", "\ta", "a\n", "", "a\u3000b"])
def test_ids_with_white_space_are_not_written(tmp_path, identifier):
    with pytest.raises(InputError, match="holds white space"):
        write_qrels(tmp_path / "a", {"q": {identifier: 1}})
    with pytest.raises(InputError, match="holds white space"):
        write_qrels(tmp_path / "a", {identifier: {"d": 1}})


@pytest.mark.parametrize("line", ["q d", "q 0 d 1 x", "q 0 d high", "q\td\t1.5", "q\td\tscore"])
def test_malformed_lines_are_named_by_number(tmp_path, line):
    path = tmp_path / "a.tsv"
    path.write_text(f"query-id\tcorpus-id\tscore\nq\td\t1\n\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_qrels(path)
    assert f"{path}:4: " in str(caught.value)
    assert "is no judgement" in str(caught.value)


@pytest.mark.parametrize("content", ["", "\n\n", "query-id\tcorpus-id\tscore\n"])
def test_a_file_without_judgements_is_refused(tmp_path, content):
    (tmp_path / "a.tsv").write_text(content)
    with pytest.raises(InputError, match="holds no judgement"):
        read_qrels(tmp_path / "a.tsv")


def test_a_truncated_file_is_refused(tmp_path):
    whole = gzip.compress("".join(f"q 0 d{n * 7919} 1\n" for n in range(5000)).encode())
    (tmp_path / "a.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="can't be read further"):
        read_qrels(tmp_path / "a.gz")
