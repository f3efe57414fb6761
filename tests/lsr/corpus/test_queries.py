import gzip
import json

import pytest

from lsr.corpus.documents import Query
from lsr.corpus.queries import read_queries
from lsr.errors import InputError, NotFoundError

QUERIES = [Query("1", "apple pie"), Query("3", "中文  plum")]
LINES = {
    ".jsonl": "".join(json.dumps({"_id": q.id, "text": q.text}) + "\n\n" for q in QUERIES),
    ".tsv": "".join(f"{q.id}\t{q.text}\r\n\n" for q in QUERIES),
    ".txt": "\n\n".join(q.text for q in QUERIES),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", LINES)
def test_every_kind_of_file_gives_the_same_queries(tmp_path, suffix, packed):
    path = tmp_path / f"queries{suffix}{'.gz' if packed else ''}"
    text = LINES[suffix].encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    assert read_queries(str(path)) == QUERIES
    if suffix == ".jsonl":
        assert read_queries(str(tmp_path)) == QUERIES


@pytest.mark.parametrize(
    ("content", "queries"),
    [
        (b"qid\tquery\n1\tcats\n", [Query("1", "cats")]),
        (b"\xef\xbb\xbfQuery\tID\r\ncats\t1\r\n", [Query("1", "cats")]),
        (b"\n_id\tlang\ttext\n1\ten\tcats\n", [Query("1", "cats")]),
        (b"1\t\n2\tcats\n3\t \r\n", [Query("1", ""), Query("2", "cats"), Query("3", "")]),
        (b"1\tcats\tand dogs\n", [Query("1", "cats\tand dogs")]),
        (b"q1\tquery\n", [Query("q1", "query")]),
    ],
)
def test_tsv_headers_and_blank_queries(tmp_path, content, queries):
    (tmp_path / "q.tsv").write_bytes(content)
    assert read_queries(str(tmp_path / "q.tsv")) == queries


def test_ids_of_jsonl_may_be_numbers_and_texts_blank(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"_id": 1, "text": ""}\n{"id": "b", "text": "x"}\n')
    assert read_queries(str(tmp_path / "q.jsonl")) == [Query("1", ""), Query("b", "x")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"_id": "q", "text": null}', "its text is null; give a string"),
        ('{"_id": "q", "text": 123}', "its text is the number 123; give a string"),
        ('{"_id": "q", "text": ["a"]}', "its text is a list; give a string"),
        ('{"_id": "q", "query": "a"}', "it has no text; its keys are '_id', 'query'"),
        ('{"text": "a"}', "it has no _id; its keys are 'text'"),
        ('{"_id": null, "text": "a"}', "its _id is null; give a string or an integer"),
        ('{"id": true, "text": "a"}', "its _id is a boolean; give a string or an integer"),
        ('["q", "a"]', "it is a list; give an object"),
        ('"q"', "it is a string; give an object"),
        ("5", "it is the number 5; give an object"),
        ('{"_id": "q", "text": "\\ud800"}', "half of a surrogate pair"),
        ('{"_id": "q"', "not valid JSON"),
        ("{}", "it has no _id; its keys are none"),
        ('{"_id": 1' + "0" * 5000 + ', "text": "a"}', "a number has 5,001 digits"),
    ],
)
def test_messages_speak_of_json_and_not_of_python(tmp_path, line, reason):
    (tmp_path / "q.jsonl").write_text('{"_id": "1", "text": "a"}\n' + line)
    with pytest.raises(InputError, match=r"q\.jsonl:2: no query: ") as caught:
        read_queries(str(tmp_path / "q.jsonl"))
    assert reason in str(caught.value)
    assert "NoneType" not in str(caught.value)
    assert "object has no attribute" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "kind", "reason"),
    [
        ("q.txt", b"\n \n", InputError, "holds no query"),
        ("q.txt", b"caf\xe9", InputError, r"q\.txt:1: the file can't be read"),
        ("q.tsv", b"1\tapple\n2 plum\n", InputError, r"q\.tsv:2: no query"),
        ("q.tsv", b"1\tapple\n\tplum\n", InputError, r"q\.tsv:2: the query has no id"),
        ("q.tsv", b"qid\tnote\n1\tplum\n", InputError, r"its columns are 'qid', 'note'"),
        ("q.jsonl", b'{"_id": "1"}', InputError, r"q\.jsonl:1: no query"),
        ("q.csv", b"1,apple", InputError, "of no known kind"),
        ("other.txt", b"", NotFoundError, "no file or folder"),
        (".", b"", NotFoundError, r"no queries\.jsonl"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, name, content, kind, reason):
    if name.startswith("q."):
        (tmp_path / name).write_bytes(content)
    path = tmp_path / ("q.txt" if name == "other.txt" else name)
    with pytest.raises(kind, match=reason):
        read_queries(str(path))
