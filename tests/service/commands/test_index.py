"""`lsr index`: what it says of an encoder's health, several processes, and progress."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import rich.console
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from index.collection.collection import Collection
from index.indexing import IndexReport
from lsr.corpus.readers import Corpus
from lsr.vocabulary import Vocabulary
from service.cli import cli
from service.commands import terminal
from tests.service.conftest import environment, sentence, write_jsonl
from tests.service.test_cli import wait_for_documents


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
    tokens = sum(map(len, Vocabulary.bert_uncased().tokenize(contents)))
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


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Runs the command line in this process, in an empty folder; gives its JSON."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(cli, [*map(str, arguments), "--json"], catch_exceptions=False)
        return json.loads(result.stdout)

    return run


def test_search_and_eval_take_a_query_encoder(inside, tmp_path, corpus, masked_lm):
    tables = shutil.copytree(masked_lm, tmp_path / "tables")
    (tables / "idf.json").write_text('{"cherry": 2.0}')
    query_encoder = "inference-free:./tables"
    inside("index", corpus, "--into", "fruit", "--encoder", masked_lm)
    meta = inside("search", "fruit", "cherry")["meta"]
    assert "query_encoder" not in meta
    found = inside("search", "fruit", "cherry", "--query-encoder", query_encoder)
    assert found["meta"]["encoder"] == meta["encoder"]
    assert found["meta"]["query_encoder"]["sparse"].startswith("inference-free-")
    assert found["query_terms"]["sparse"] == [{"token": "cherry", "weight": 2.0}]

    folder = tmp_path / "dataset"
    (folder / "qrels").mkdir(parents=True)
    shutil.copy(corpus, folder / "corpus.jsonl")
    write_jsonl(folder / "queries.jsonl", [{"_id": "q1", "text": "cherry"}])
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\n")
    command = ["eval", "dataset", "--index", "fruit", "--query-encoder", query_encoder]
    (row,) = inside(*command, "--save-run", "out.run")["results"]
    assert row["encoder"] == f"splade:{masked_lm.name}<-{query_encoder}"
    assert set(row["provenance"]["fields"]) == {"sparse", "sparse-queries"}
    ranking = [line.split()[2] for line in (tmp_path / "out.run").read_text().splitlines()]
    assert ranking == [hit["id"] for hit in found["hits"]]


def test_a_query_encoder_of_another_vocabulary_is_refused(lsr, tmp_path, corpus, masked_lm):
    other = shutil.copytree(masked_lm, tmp_path / "other")
    tokenizer = (other / "tokenizer.json").read_text().replace('"cherry"', '"sherry2"', 1)
    (other / "tokenizer.json").write_text(tokenizer)
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    result = lsr("search", "fruit", "cherry", "--query-encoder", "splade:./other")
    assert "give a query encoder with the same vocabulary" in sentence(result)
    assert result.returncode == 1


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
