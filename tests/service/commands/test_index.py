"""`lsr index`: every kind of corpus, resuming, health of encoders, processes, progress."""

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import rich.console
from safetensors.torch import load_file, save_file

from index.collection.collection import Collection
from index.indexing import CHUNK, IndexReport
from lsr.analysis.analyzer import analyzer
from lsr.corpus.readers.corpus import Corpus
from service.commands import terminal
from tests.service.conftest import environment, write_jsonl
from tests.waiting import wait_until


def test_a_second_run_encodes_nothing(lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    again = json.loads(
        lsr("index", corpus, "--into", "fruit", "--encoder", "bm25", "--json").stdout
    )
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 3)


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "tsv", "beir", "texts", "stdin"])
def test_every_kind_of_corpus_is_read(lsr, tmp_path, kind):
    records = [{"_id": "a", "text": "apple"}, {"id": "b", "contents": "banana split"}]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    source, stdin = tmp_path / f"in.{kind}", b""
    if kind == "jsonl":
        source.write_bytes(lines)
    elif kind == "jsonl.gz":
        source.write_bytes(gzip.compress(lines))
    elif kind == "tsv":
        source.write_text("a\tapple\nb\tbanana split\n")
    elif kind == "beir":
        source.mkdir()
        (source / "corpus.jsonl").write_bytes(lines)
    elif kind == "texts":
        source.mkdir()
        (source / "a.txt").write_text("apple")
        (source / "b.md").write_text("banana split")
    else:
        source, stdin = "-", lines
    assert lsr("index", source, "--into", "out", "--encoder", "bm25", stdin=stdin).returncode == 0
    found = json.loads(lsr("search", "out", "banana", "--json").stdout)
    assert [hit["id"][0] for hit in found["hits"]] == ["b"]


def test_broken_lines_are_named_counted_and_skipped(lsr, tmp_path):
    source = tmp_path / "broken.jsonl"
    source.write_text(
        '{"_id": "a", "text": "apple"}\n{"_id": "b", "text": \n\n'
        '{"_id": "a", "text": "again"}\n{"text": "no id"}\n{"_id": "c", "text": "cherry"}\n'
    )
    result = lsr("index", source, "--into", "out", "--encoder", "bm25")
    errors = result.stderr.decode()
    assert result.returncode == 1
    assert "Traceback" not in errors
    assert "broken.jsonl:2: not valid JSON" in errors
    assert "broken.jsonl:4: the id 'a' was given before, at" in errors
    assert "broken.jsonl:5: the document has no id" in errors
    assert "3 rejected" in result.stdout.decode()
    assert Collection.open(tmp_path / "out").ids() == ["a", "c"]


def test_fields_and_columns_are_named(lsr, tmp_path):
    (tmp_path / "goods.csv").write_text("sku;name;description\n1;Saw;cuts wood\n")
    refused = lsr("index", "goods.csv", "--into", "out", "--encoder", "bm25")
    assert refused.returncode == 1
    assert b"no column is an id: its columns are 'sku', 'name', 'description'" in refused.stderr
    named = ("--id-field", "sku", "--text-field", "name, description")
    assert lsr("index", "goods.csv", "--into", "out", "--encoder", "bm25", *named).returncode == 0
    (hit,) = json.loads(lsr("search", "out", "wood saw", "--json").stdout)["hits"]
    assert hit["payload"]["text"] == "Saw\ncuts wood"
    (tmp_path / "bare.tsv").write_text("a passage\tp1\n")
    bare = ("index", "bare.tsv", "--into", "two", "--encoder", "bm25", "--columns", "text,id")
    assert lsr(*bare).returncode == 0
    assert Collection.open(tmp_path / "two").ids() == ["p1"]


def test_what_a_folder_holds_besides_is_said_in_one_line(lsr, tmp_path):
    folder = tmp_path / "docs"
    (folder / ".git").mkdir(parents=True)
    for name in ("a.html", "B.TXT", "x.png", "y.PNG", "draft.md"):
        (folder / name).write_text("<p>apple")
    command = ("index", "docs", "--into", "out", "--encoder", "bm25", "--exclude", "draft*")
    result = lsr(*command)
    assert result.returncode == 0
    assert result.stderr == b""
    assert result.stdout.decode().splitlines()[1:] == [
        "passed over: 2 .png (of no kind that is read), 1 folder (hidden), 1 .md (excluded)"
    ]
    found = json.loads(lsr(*command, "--json").stdout)
    assert (found["documents"], found["deleted"], found["notes"]) == (2, 0, {})
    assert found["passed_over"][0] == {
        "ending": ".png", "files": 2, "reason": "of no kind that is read"}  # fmt: skip


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("source", "encoder"),
    [("broken.jsonl", "bm25"), ("docs.json", "splade:./no-such"), ("empty", "bm25")],
)
def test_a_failed_first_import_leaves_no_collection(lsr, tmp_path, there, source, encoder):
    (tmp_path / "broken.jsonl").write_text("broken\n")
    (tmp_path / "docs.json").write_text('[{"id": "a", "text": "apple"}]')
    (tmp_path / "empty").mkdir()
    if there:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").touch()
    result = lsr("index", source, "--into", "out", "--encoder", encoder)
    assert result.returncode
    assert b"Traceback" not in result.stderr
    assert [path.name for path in tmp_path.glob("out/*")] == (["mine"] if there else [])
    assert (tmp_path / "out").exists() == there


def test_a_later_import_that_fails_leaves_the_collection(lsr, corpus, tmp_path):
    lsr("index", corpus, "--into", "out", "--encoder", "bm25")
    (tmp_path / "broken.jsonl").write_text("broken\n")
    assert lsr("index", "broken.jsonl", "--into", "out").returncode == 1
    assert len(Collection.open(tmp_path / "out")) == 3


def test_an_empty_collection_that_was_there_stays(lsr, tmp_path):
    (tmp_path / "none.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text("broken\n")
    assert lsr("index", "none.jsonl", "--into", "out", "--encoder", "bm25").returncode == 0
    assert lsr("index", "broken.jsonl", "--into", "out").returncode == 1
    assert len(Collection.open(tmp_path / "out")) == 0


@pytest.fixture
def silent(tmp_path, masked_lm):
    """The tiny model with a bias that leaves no dimension active."""
    folder = shutil.copytree(masked_lm, tmp_path / "silent")
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.endswith("predictions.bias")]:
        weights[name] = weights[name] - 100
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_collapsed_encoder_is_warned_of(lsr, corpus, silent):
    result = lsr("index", corpus, "--into", "out", "--encoder", silent)
    errors = result.stderr.decode().splitlines()
    health = "sparse: first 3 documents: 0 non-zeros on average, 100.0 % empty, 0.0 % saturated"
    assert health in errors
    warnings = [line for line in errors if line.startswith("Warning: ")]
    assert len(warnings) == 1
    assert warnings[0].startswith("Warning: the encoder looks collapsed: 100 % of the documents")
    assert result.returncode == 0
    again = json.loads(lsr("index", corpus, "--into", "2", "--encoder", silent, "--json").stdout)
    assert again["health"]["sparse"]["empty"] == 1
    assert again["health"]["sparse"]["warning"] in warnings[0]
    assert again["tokens"] > 3 * 2


def test_counts_of_terms_get_no_line(lsr, corpus):
    result = lsr("index", corpus, "--into", "out", "--encoder", "bm25")
    assert result.stderr == b""
    found = json.loads(lsr("index", corpus, "--into", "2", "--encoder", "bm25", "--json").stdout)
    contents = [item.document.contents for item in Corpus(str(corpus))]
    tokens = sum(len(analyzer("english").terms(text)) for text in contents)
    assert (found["health"], found["tokens"]) == ({}, tokens)


def test_several_processes_make_the_same_collection(lsr, tmp_path):
    records = [{"_id": f"d{n}", "text": "apple " * (n % 5) + f"{n}"} for n in range(700)]
    source = write_jsonl(tmp_path / "many.jsonl", records)
    for folder, processes in (("one", "1"), ("two", "2")):
        result = lsr(
            "index", source, "--into", folder, "--encoder", "bm25", "--processes", processes
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == b""
    one, two = (Collection.open(tmp_path / name) for name in ("one", "two"))
    assert one.ids() == two.ids()
    assert one.digest() == two.digest()


@pytest.mark.parametrize(
    ("processes", "reason"),
    [("0", "0 is not in the range x>=1"), ("600", "allowed are 1 to 512"), ("x", "not a valid")],
)
def test_wrong_numbers_of_processes_are_refused(lsr, corpus, processes, reason):
    result = lsr("index", corpus, "--into", "out", "--encoder", "bm25", "--processes", processes)
    assert reason in result.stderr.decode()
    assert "Traceback" not in result.stderr.decode()
    assert result.returncode == 2


def wait_for_documents(path, count, process):
    def there():
        return (path / "collection.sqlite").is_file() and len(Collection.open(path)) >= count

    wait_until(lambda: process.poll() is not None or there())


def test_an_interrupt_says_how_to_go_on(tmp_path, masked_lm):
    command = ["index", "-", "--into", "out", "--encoder", str(masked_lm)]
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", *command],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Processes that a shell put into the background ignore it, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for number in range(CHUNK):
        process.stdin.write(f'{{"id": "{number}", "text": "apple"}}\n'.encode())
    process.stdin.flush()
    wait_for_documents(tmp_path / "out", CHUNK, process)
    process.send_signal(signal.SIGINT)
    errors = process.stderr.read().decode()
    assert process.wait() == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors


def test_killed_indexing_goes_on_without_encoding_twice(lsr, tmp_path, masked_lm):
    random = np.random.default_rng(7)
    words = ["apple", "banana", "cherry", "plum", "tree", "garden", "river"]
    records = [
        {"_id": f"d{n}", "text": " ".join(random.choice(words, int(random.integers(1, 30))))}
        for n in range(4 * CHUNK + 17)
    ]
    source = write_jsonl(tmp_path / "many.jsonl", records)
    command = ["index", str(source), "--into", "killed", "--encoder", str(masked_lm), "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "index", "-", *command[2:]],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
    )
    # What is left open has no end, so the run can't end before it is killed.
    process.stdin.writelines(source.read_bytes().splitlines(keepends=True)[: 3 * CHUNK])
    process.stdin.flush()
    wait_for_documents(tmp_path / "killed", CHUNK, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = len(Collection.open(tmp_path / "killed"))
    assert stored in range(CHUNK, 4 * CHUNK, CHUNK)
    resumed = json.loads(lsr(*command, "--json").stdout)
    assert resumed["unchanged"] == stored
    assert resumed["created"] == len(records) - stored
    lsr("index", source, "--into", "whole", "--encoder", masked_lm)
    killed, whole = (Collection.open(tmp_path / name) for name in ("killed", "whole"))
    assert killed.ids() == whole.ids()
    assert killed.digest() == whole.digest()
    field = whole.fields.named("sparse")
    a, b = killed.store.vectors.sparse(field), whole.store.vectors.sparse(field)
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.values, b.values)


def test_an_interrupt_ends_all_processes(tmp_path):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "service.cli",
            "index",
            "-",
            "--into",
            "out",
            "--encoder",
            "bm25",
            "--processes",
            "2",
        ],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # Processes that a shell put into the background ignore it, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for number in range(20 * 256):
        process.stdin.write(f'{{"id": "{number}", "text": "apple"}}\n'.encode())
    process.stdin.flush()
    wait_for_documents(tmp_path / "out", 256, process)
    os.killpg(process.pid, signal.SIGINT)
    # Ends only when nobody holds the pipe any more, the workers included.
    errors = process.stderr.read().decode()
    assert process.wait() == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert len(Collection.open(tmp_path / "out")) % 256 == 0


def test_progress_shows_rates_and_counts_what_is_done(monkeypatch):
    shown = io.StringIO()
    console = rich.console.Console(file=shown, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(terminal, "err", console)
    monkeypatch.setattr(IndexReport, "seconds", 2.0)
    with terminal.indexing_progress(lambda: 0.5, "indexing", quiet=False) as progress:
        progress.chunk(IndexReport(created=300, rejected=100, taken=800, tokens=5_000))
    line = shown.getvalue().rpartition("indexing")[2]
    assert "400 documents 200/s 2,500 tokens/s" in line
    # Half of the source is taken, and half of that is done: a quarter of 40 columns.
    assert line.count("━") + line.count("╸") in (10, 11)
