"""Files that can't be written are refused before the work; one that fails leaves nothing."""

import os

import pytest

from lsr.errors import UsageError
from service.commands.output_path import check_output
from tests.service.conftest import sentence, write_jsonl

COMMANDS = {
    "--save-run": ["eval", "data", "--encoder", "bm25", "--save-run"],
    "--save-qrels": ["eval", "data", "--encoder", "bm25", "--save-qrels"],
    "--output": ["pairs", "docs.jsonl", "--output"],
    "encode": ["encode", "docs.jsonl", "--encoder", "bm25", "--out"],
    "export": ["export", "c", "--out"],
}
MADE = {"encode", "export"}  # which make the folder


@pytest.fixture
def data(lsr, tmp_path):
    """A collection, a file, and a dataset with an id that no TREC file can hold."""
    folder = tmp_path / "data"
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": "d1", "text": "a fig"}, {"_id": "doc d2", "text": "a plum tree"}]
    write_jsonl(folder / "corpus.jsonl", documents)
    write_jsonl(folder / "queries.jsonl", [{"_id": "q1", "text": "plum"}])
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tdoc d2\t1\n")
    write_jsonl(tmp_path / "docs.jsonl", documents)
    (tmp_path / "file").write_text("kept")
    lsr("index", "docs.jsonl", "--into", "c", "--encoder", "bm25")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_an_impossible_output_is_refused_before_the_work(lsr, data, tmp_path, command):
    before = sorted(tmp_path.rglob("*"))
    wrong = {
        "data": "is a folder",
        "file/x.jsonl": "'file' is no folder",
        "x" * 300 + ".jsonl": "can't be used",
    }
    if command not in MADE:
        wrong |= {"nodir/x.jsonl": "there is no folder 'nodir'"}
    for path, reason in wrong.items():
        told = lsr(*COMMANDS[command], path)
        assert (told.returncode, told.stdout) == (2, b""), path
        assert reason in sentence(told)
        assert "Errno" not in sentence(told)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "kept"


def test_folders_are_made_where_they_were(lsr, data, tmp_path):
    for command in MADE:
        path = f"{command}/deep/x.jsonl"
        assert lsr(*COMMANDS[command], path).returncode == 0
        assert (tmp_path / path).is_file()


def test_ids_that_no_trec_file_can_hold_are_refused_before_the_work(lsr, data, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for option in ("--save-run", "--save-qrels"):
        told = lsr(*COMMANDS[option], "r.txt")
        assert (told.returncode, told.stdout) == (2, b"")
        assert "the id 'doc d2' holds white space" in sentence(told)
    assert sorted(tmp_path.rglob("*")) == before
    assert b"1.0000" in lsr(*COMMANDS["--save-run"][:-1]).stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="nothing may be written"):
        check_output(tmp_path / "x", "--out")


def test_what_the_system_refuses_is_told_in_words(lsr, data, tmp_path):
    (tmp_path / "training.toml").write_text(
        '[model]\nbase = "b"\n[optimizer]\nsteps = 1\n[[sources]]\npath = "p"\n'
        '[[losses]]\nname = "info-nce"\n'
    )
    for arguments in (
        ["train", "training.toml", "--output", "file"],
        ["train", "training.toml", "--output", "file/x"],
        ["index", "docs.jsonl", "--into", "file/c", "--encoder", "bm25"],
        ["import", "docs.jsonl", "--into", "file/c", "--encoder", "bm25"],
        ["snapshot", "c", "file/s"],
        ["eval", "data", "--load-run", "data", "--encoder", "bm25"],
    ):
        told = lsr(*arguments)
        assert told.returncode in (1, 2)
        assert not sentence(told).startswith("Error: [Errno")
