import json
import sqlite3

import pytest

from index.collection.collection import Collection
from index.collection.commits import CommitsFile
from tests.index.collection.test_migration import downgrade
from tests.service.conftest import sentence


@pytest.fixture
def fruit(lsr, corpus, tmp_path):
    assert lsr("index", corpus, "--into", "fruit", "--encoder", "bm25").returncode == 0
    return tmp_path / "fruit"


def hits(lsr, collection):
    found = json.loads(lsr("search", collection, "banana cherry", "--json").stdout)
    return [(hit["id"], hit["score"]) for hit in found["hits"]]


def test_snapshot_then_restore_gives_the_same_answers(lsr, fruit):
    assert "3 documents and 1 segment" in lsr("snapshot", "fruit", "taken").stdout.decode()
    report = json.loads(lsr("restore", "taken", "again", "--json").stdout)
    assert (report["collection"], report["documents"], report["segments"]) == ("again", 3, 1)
    assert hits(lsr, "again") == hits(lsr, "fruit")
    taken = json.loads(lsr("snapshot", "again", "second", "--json").stdout)
    assert taken["snapshot"] == "second"


def test_snapshots_are_published_and_old_ones_go(lsr, fruit, tmp_path):
    first = json.loads(lsr("snapshot", "fruit", "--to", "published", "--json").stdout)
    assert (first["new"], first["documents"], first["deleted"]) == (True, 3, [])
    assert first["snapshot"] == f"published/fruit/{first['name']}"
    again = lsr("snapshot", "fruit", "--to", "published").stdout.decode()
    assert again == (
        f"nothing was written since the snapshot {first['snapshot']}, which is the newest\n"
    )
    lsr("snapshot", "fruit", "--to", "published", "--as", "plums")
    assert {each.name for each in (tmp_path / "published").iterdir()} == {"fruit", "plums"}
    lsr("delete", "fruit", "a")
    second = lsr("snapshot", "fruit", "--to", f"file://{tmp_path}/published", "--keep", "1")
    assert second.stdout.decode().endswith("\n1 older snapshot deleted\n")
    (left,) = (tmp_path / "published" / "fruit").iterdir()
    report = json.loads(lsr("restore", left, "again", "--json").stdout)
    assert report["documents"] == 2
    for arguments, says in (
        ((), "say where the snapshot goes"),
        (("x", "--to", "y"), "say where the snapshot goes"),
        (("x", "--keep", "2"), "add --to SNAPSHOTS"),
        (("--to", "y", "--keep", "0"), "keep 1 or more"),
        (("--to", "s3://key:secret@bucket"), "holds a name or password"),
    ):
        failed = lsr("snapshot", "fruit", *arguments)
        assert failed.returncode == 2
        assert says in sentence(failed)
        assert "secret" not in sentence(failed)


def test_check_names_each_problem_and_repairs(lsr, fruit):
    sound = lsr("check", "fruit")
    assert sound.returncode == 0
    assert "no problem in 3 documents and 1 segment" in sound.stdout.decode()
    (segment,) = (fruit / "segments").iterdir()
    data = bytearray(segment.read_bytes())
    data[-70] ^= 0xFF
    segment.write_bytes(data)
    damaged = lsr("check", "fruit")
    assert damaged.returncode == 1
    first, last = damaged.stdout.decode().splitlines()
    assert first.startswith("the section")
    assert first.endswith("rebuild it with: lsr check fruit --repair")
    assert last.startswith("1 problem in 3 documents")
    repaired = lsr("check", "fruit", "--repair", "--json")
    report = json.loads(repaired.stdout)
    assert repaired.returncode == 0
    assert (len(report["found"]), report["repaired"], report["problems"]) == (1, 1, [])
    assert lsr("check", "fruit", "--repair").returncode == 0


def test_what_cannot_be_repaired_stays_a_problem(lsr, fruit):
    with sqlite3.connect(fruit / "collection.sqlite") as connection:
        connection.execute("UPDATE documents SET text = 'other' WHERE sequence = 1")
    result = lsr("check", "fruit", "--repair")
    assert result.returncode == 1
    assert "is damaged in the store; index it again, or restore a snapshot" in (
        result.stdout.decode()
    )


@pytest.mark.parametrize(
    ("arguments", "reason", "code"),
    [
        (["snapshot", "nowhere", "taken"], "no collection at nowhere", 2),
        (["snapshot", "fruit", "fruit"], "fruit exists already", 2),
        (["restore", "nowhere", "again"], "no snapshot at nowhere", 2),
        (["restore", "fruit", "again"], "no snapshot at fruit", 2),
        (["restore", "taken", "fruit"], "fruit exists already", 2),
        (["restore", "damaged", "again"], "nothing was restored", 1),
        (["check", "nowhere"], "no collection at nowhere", 2),
        (["check", "taken"], "no collection at taken", 2),
        (["snapshot", "fruit", "corpus.jsonl/taken"], "can't be written", 1),
    ],
)
def test_bad_input_is_one_clear_sentence(lsr, tmp_path, fruit, arguments, reason, code):
    lsr("snapshot", "fruit", "taken")
    lsr("snapshot", "fruit", "damaged")
    (tmp_path / "damaged" / "snapshot.json").write_text("{}")
    result = lsr(*arguments)
    assert reason in sentence(result)
    assert result.returncode == code
    assert not (tmp_path / "again").exists()


def test_check_reports_commits_that_are_missing_and_repair_says_what_it_gives_up(lsr, fruit):
    commits = CommitsFile(fruit / "collection.commits")
    newest = commits.newest()
    commits.create(newest._replace(revision=newest.revision + 2, token="f" * 32))
    assert "lacks its last 2 commits" in sentence(lsr("search", "fruit", "banana"))
    report = json.loads((checked := lsr("check", "fruit", "--json")).stdout)
    assert checked.returncode == 1
    assert ["lacks its last 2 commits" in problem for problem in report["problems"]] == [True]
    repaired = lsr("check", "fruit", "--repair")
    assert repaired.returncode == 0
    assert "the last 2 commits are given up" in repaired.stdout.decode()
    assert hits(lsr, "fruit")


def test_a_damaged_vector_is_encoded_again(lsr, fruit):
    before = hits(lsr, "fruit")
    with sqlite3.connect(fruit / "collection.sqlite") as connection:
        connection.execute("UPDATE vectors SET weights = x'003c' WHERE sequence = 1")
    result = lsr("check", "fruit", "--repair")
    assert result.returncode == 0
    assert "1 vector encoded again" in result.stdout.decode()
    assert hits(lsr, "fruit") == before


def test_a_collection_of_the_release_before_is_migrated(lsr, corpus, tmp_path):
    fruit = tmp_path / "fruit"
    # That release had no words.
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25,analyzer=wordpiece")
    before = hits(lsr, "fruit")
    downgrade(Collection.open(fruit))
    assert sentence(lsr("search", "fruit", "banana")).endswith("with: lsr migrate fruit")
    report = json.loads(lsr("migrate", "fruit", "--json").stdout)
    assert (report["from"], report["to"], report["documents"], report["segments"]) == (2, 4, 3, 1)
    assert hits(lsr, "fruit") == before
    assert "has format version 4 already" in sentence(lsr("migrate", "fruit"))
