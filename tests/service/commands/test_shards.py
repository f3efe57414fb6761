"""lsr encode --shard, lsr merge and lsr import of shards, as a scheduler and a user run them."""

import json
import signal
import subprocess
import sys

import pytest

from index.collection.collection import Collection
from tests.service.conftest import environment, sentence, write_jsonl
from tests.waiting import wait_until

BM25 = ["--encoder", "bm25"]
ROWS = [
    {"id": f"d{n}", "title": f"Fruit {n}", "text": f"apple {n} pie w{n // 4}", "year": n}
    for n in range(1300)
]


@pytest.fixture
def corpus(tmp_path):
    """1,300 documents, and among them a repeated id, a line of no UTF-8 and one of no JSON."""
    lines = [json.dumps(row).encode() for row in ROWS]
    lines[700:700] = [lines[3], b'{"id": "\xff"}', b"{"]
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


@pytest.fixture
def encoded(lsr, corpus):
    """The corpus in three shards; what was said on standard error."""
    said = []
    for number in (1, 2, 3):
        done = lsr("encode", corpus, *BM25, "--shard", f"{number}/3", "--out", "shards")
        assert done.returncode == 0, done.stderr
        said += done.stderr.decode().splitlines()
    return said


def stored(path):
    """All that a collection holds, and its digest."""
    c = Collection.open(path)
    with c.store.reading():
        numbers = c.store.live().tolist()
        documents = list(c.store.documents(numbers).values())
        rows = c.store.vectors.rows(c.fields[0], numbers)
        vectors = [(rows[n].indices.tolist(), rows[n].values.tolist()) for n in numbers]
    digest = c.digest()
    c.close()
    return documents, vectors, digest


def test_shards_are_one_run(lsr, tmp_path, corpus, encoded):
    one = lsr("encode", corpus, *BM25, "--out", "one.safetensors")
    assert one.returncode == 1
    assert sorted(encoded) == sorted(one.stderr.decode().splitlines())
    assert len(encoded) == 3
    merged = lsr("merge", "shards", "--out", "merged.safetensors", "--json")
    assert merged.returncode == 1
    note = "items of the corpus that were rejected when its shards were encoded: 3"
    assert json.loads(merged.stdout)["notes"] == [note]
    merged, one = (tmp_path / f"{name}.safetensors" for name in ("merged", "one"))
    assert merged.read_bytes() == one.read_bytes()

    lsr("import", "one.safetensors", "--into", "of-one", *BM25, "--documents", corpus)
    done = lsr("import", *(f"shards/shard-{n}-of-3" for n in (2, 3, 1)), "--into", "of-shards")
    assert done.returncode == 1, done.stderr
    assert "1,300 created" in done.stdout.decode()
    assert note in done.stderr.decode()
    assert stored(tmp_path / "of-shards") == stored(tmp_path / "of-one")
    lsr("index", corpus, "--into", "indexed", *BM25)
    assert stored(tmp_path / "of-shards")[2] == stored(tmp_path / "indexed")[2]
    found = [
        json.loads(lsr("search", each, "pie w7", "--json").stdout)["hits"]
        for each in ("indexed", "of-shards")
    ]
    assert found[0] == found[1]
    assert found[0][0]["payload"]["metadata"]["year"] == 28

    again = json.loads(lsr("import", "shards", "--into", "of-shards", "--json").stdout)
    assert (again["created"], again["unchanged"], again["rejected_in_shards"]) == (0, 1300, 3)


def test_a_whole_shard_ends_well_though_items_were_rejected(lsr, corpus, encoded):
    """Else a scheduler runs it again, and what waits for it never begins."""
    again = lsr("encode", corpus, *BM25, "--shard", "3/3", "--out", "shards", "--json")
    report = json.loads(again.stdout)
    assert again.returncode == 0
    assert (report["encoded"], report["kept"], report["rejected"]) == (0, 276, 3)
    assert (report["shard"], report["documents"], len(report["digest"])) == ("3/3", 276, 64)


def test_formats_and_quantised_weights_of_merged_shards(lsr, tmp_path, corpus, encoded):
    options = ["--format", "seismic", "--quantise", "7", "--no-contents"]
    lsr("encode", corpus, *BM25, "--out", "one.jsonl.gz", *options)
    lsr("merge", "shards", "--out", "merged.jsonl.gz", *options, "--quiet")
    one = (tmp_path / "one.jsonl.gz").read_bytes()
    assert (tmp_path / "merged.jsonl.gz").read_bytes() == one


def test_a_killed_shard_goes_on(lsr, tmp_path):
    write_jsonl(tmp_path / "c.jsonl", [{"id": str(n), "text": f"apple {n}"} for n in range(6000)])
    command = ["encode", "-", *BM25, "--shard", "2/2", "--out", "shards"]
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", *command],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
    )
    # What is left open has no end, so the run can't end before it is killed.
    process.stdin.writelines((tmp_path / "c.jsonl").read_bytes().splitlines(keepends=True)[:4000])
    process.stdin.flush()
    journal = tmp_path / "shards" / "shard-2-of-2.part" / "journal.json"
    wait_until(lambda: journal.exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    refused = lsr("import", "shards", "--into", "c")
    assert "shard-2-of-2.part is a shard that was begun and is not finished" in sentence(refused)
    for number, out in ((2, "shards"), (2, "whole"), (1, "shards")):
        done = lsr("encode", "c.jsonl", *BM25, "--shard", f"{number}/2", "--out", out, "--json")
        report = json.loads(done.stdout)
        if (number, out) == (2, "shards"):
            assert report["kept"] > 0
            assert report["kept"] + report["encoded"] == report["documents"] == 2928
    for file in (tmp_path / "whole" / "shard-2-of-2").iterdir():
        gone_on = tmp_path / "shards" / "shard-2-of-2" / file.name
        assert gone_on.read_bytes() == file.read_bytes()
    assert lsr("import", "shards", "--into", "c").returncode == 0


def test_a_collection_of_another_encoder_is_refused(lsr, encoded, corpus):
    lsr("index", corpus, "--into", "c", "--encoder", "bm25,k1=2")
    refused = lsr("import", "shards", "--into", "c")
    assert "the shards were encoded by bm25 " in sentence(refused)
    assert "and c has bm25,k1=2" in sentence(refused)
    refused = lsr("merge", "shards", "--out", "m.jsonl", "--encoder", "bm25,k1=2")
    assert "and this machine has bm25,k1=2" in sentence(refused)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["encode", "corpus.jsonl", "--shard", "4/3", "--out", "s"], "the shard is 4/3; allowed"),
        (["encode", "corpus.jsonl", "--shard", "x", "--out", "s"], "the shard is 'x'; give its"),
        (["encode", "corpus.jsonl", "--shard", "1/3", "--out", "-"], "leave out --out -"),
        (["encode", "corpus.jsonl", "--shard", "1/3", "--out", "corpus.jsonl"], "is no folder"),
        (
            [
                "encode",
                "corpus.jsonl",
                "--shard",
                "1/3",
                "--out",
                "s",
                "--format",
                "csr",
                "--queries",
            ],
            "leave out --format, --queries",
        ),
        (["import", "shards/shard-1-of-3", "--into", "c"], "shards 2/3, 3/3 are missing"),
        (["import", "shards", "shards/shard-1-of-3", "--into", "c"], "is given 2 times"),
        (["import", "shards", "corpus.jsonl", "--into", "c"], "'corpus.jsonl' is no shard"),
        (["import", "corpus.jsonl", "-", "--into", "c"], "'corpus.jsonl' is no shard"),
        (["import", "shards", "none", "--into", "c"], "no file or folder 'none'"),
        (["merge", "corpus.jsonl", "--out", "m.jsonl"], "is no shard of lsr encode"),
        (["merge", "shards", "--out", "corpus.jsonl"], "is there already"),
        (["merge", "shards", "--out", "m.txt"], "no known kind"),
    ],
)
def test_wrong_usage_is_one_sentence(lsr, tmp_path, encoded, arguments, reason):
    result = lsr(*arguments)
    assert result.returncode == 2
    assert reason in sentence(result)
    assert not (tmp_path / "c").exists()
