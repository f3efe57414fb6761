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
    ("name", "content", "kind", "reason"),
    [
        ("q.txt", b"\n \n", InputError, "holds no query"),
        ("q.txt", b"caf\xe9", InputError, r"q\.txt:1: the file can't be read"),
        ("q.tsv", b"1\tapple\n2 plum\n", InputError, r"q\.tsv:2: no query"),
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
