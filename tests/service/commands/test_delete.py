"""`lsr delete`, and `lsr index --sync`: what leaves a collection from the command line."""

import json
import os
import subprocess
import sys

import pytest

from index.collection.collection import Collection
from tests.service.conftest import environment, write_jsonl


@pytest.fixture
def fruit(lsr, tmp_path):
    records = [{"id": str(year), "text": "novel", "year": year} for year in (1999, 2003, 2007)]
    source = write_jsonl(tmp_path / "books.jsonl", records)
    lsr("index", source, "--into", "books", "--encoder", "bm25")
    return tmp_path / "books"


def ids(path):
    collection = Collection.open(path)
    try:
        return collection.ids()
    finally:
        collection.close()


def test_ids_are_deleted_and_counted(lsr, fruit):
    result = lsr("delete", "books", "1999", "2007", "1999")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == b"2 documents deleted; books holds 1 documents\n"
    assert ids(fruit) == ["2003"]
    assert json.loads(lsr("search", "books", "novel", "--json").stdout)["hits"][0]["id"] == "2003"


def test_ids_that_are_not_there_are_named(lsr, fruit):
    result = lsr("delete", "books", "1999", "1776", "--json")
    assert result.returncode == 1
    assert json.loads(result.stdout) == {
        "collection": "books", "deleted": 1, "ids": ["1999"], "missing": ["1776"],
        "dry_run": False, "documents": 2,
    }  # fmt: skip
    assert b"there is no document '1776'" in lsr("delete", "books", "1776").stderr
    assert ids(fruit) == ["2003", "2007"]


def test_a_filter_deletes_what_passes(lsr, fruit):
    dry = lsr("delete", "books", "--filter", "year >= 2000", "--dry-run")
    assert dry.stdout == b"2 documents would be deleted; books holds 3 documents\n"
    assert len(ids(fruit)) == 3
    assert lsr("delete", "books", "--filter", "year >= 2000").returncode == 0
    assert ids(fruit) == ["1999"]
    assert lsr("delete", "books", "--filter", "year >= 2000").returncode == 0


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", 1), (b"n\n", 3)])
def test_a_filter_is_asked_about_on_a_terminal(fruit, answer, left):
    pty = pytest.importorskip("pty")
    end, terminal = pty.openpty()
    os.write(end, answer)
    result = subprocess.run(
        [sys.executable, "-m", "service.cli", "delete", "books", "--filter", "year >= 2000"],
        stdin=terminal, capture_output=True, cwd=fruit.parent, env=environment(fruit.parent),
        timeout=300, check=False,
    )  # fmt: skip
    os.close(end)
    os.close(terminal)
    assert b"delete 2 of 3 documents?" in result.stderr
    assert len(ids(fruit)) == left


@pytest.mark.parametrize(
    "arguments", [[], ["1999", "--filter", "year > 1"], ["--filter", "year >"]]
)
def test_what_does_not_say_what_deletes_nothing(lsr, fruit, arguments):
    result = lsr("delete", "books", *arguments)
    assert result.returncode == 2
    assert b"Traceback" not in result.stderr
    assert len(ids(fruit)) == 3


def test_there_must_be_a_collection(lsr):
    result = lsr("delete", "nothing", "a")
    assert result.returncode == 2
    assert b"there is no collection at nothing" in result.stderr


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "docs"
    made.mkdir()
    for name in ("a.txt", "b.txt", "c.md"):
        (made / name).write_text(f"text of {name}")
    return made


def sync(lsr, *options):
    result = lsr("index", "docs", "--into", "c", "--encoder", "bm25", "--sync", "--json", *options)
    return result.returncode, json.loads(result.stdout), result.stderr.decode()


def test_sync_deletes_what_is_gone_from_a_folder(lsr, folder, tmp_path):
    assert sync(lsr)[1]["deleted"] == 0
    (folder / "a.txt").unlink()
    (folder / "d.txt").write_text("new")
    code, report, _ = sync(lsr)
    assert (code, report["created"], report["unchanged"], report["deleted"]) == (0, 1, 2, 1)
    assert ids(tmp_path / "c") == ["b.txt", "c.md", "d.txt"]
    (folder / "b.txt").write_bytes(b"\0no text")
    code, report, _ = sync(lsr)
    assert (code, report["rejected"], report["deleted"]) == (1, 1, 0)
    assert "b.txt" in ids(tmp_path / "c")


def test_sync_deletes_nothing_where_it_cannot_be_sure(lsr, folder, tmp_path):
    sync(lsr)
    (folder / "a.txt").unlink()
    (folder / "x.jsonl").write_text('{"id": "1", "text": "a"}\nbroken\n')
    code, report, errors = sync(lsr)
    assert (code, report["deleted"]) == (1, 0)
    assert "nothing was deleted: 1 items could not be read" in errors
    assert "a.txt" in ids(tmp_path / "c")


def test_sync_of_an_emptied_folder_is_refused(lsr, folder, tmp_path):
    sync(lsr)
    for path in folder.iterdir():
        path.unlink()
    result = lsr("index", "docs", "--into", "c", "--sync")
    assert result.returncode == 2
    assert b"holds no corpus.jsonl and no file that is read" in result.stderr
    assert len(ids(tmp_path / "c")) == 3
