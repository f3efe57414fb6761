import gzip
import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from index.collection.collection import Collection
from index.indexing import CHUNK
from lsr.encoders.packaged import DEFAULT_ENCODER
from tests.service.conftest import environment, sentence, write_jsonl
from tests.waiting import wait_until


def test_index_then_search_then_info(lsr, corpus):
    result = lsr("index", corpus, "--into", "fruit")
    assert result.returncode == 0, result.stderr
    assert "3 documents encoded" in result.stdout.decode()
    shown = lsr("search", "fruit", "cherry").stdout.decode()
    assert "1. Cherries" in shown
    assert "sparse: cherry" in shown
    found = json.loads(lsr("search", "fruit", "cherry", "--json").stdout)
    assert [hit["id"] for hit in found["hits"]] == ["b"]
    assert found["hits"][0]["terms"]["sparse"][0]["token"] == "cherry"
    info = json.loads(lsr("info", "fruit", "--json").stdout)
    assert (info["documents"], info["fields"][0]["encoder"]) == (3, DEFAULT_ENCODER)
    assert "inference-free-" in lsr("info", "fruit").stdout.decode()


def test_search_takes_filters_and_effort(lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    found = lsr("search", "fruit", "banana", "--filter", "url exists", "--json").stdout
    assert [hit["id"] for hit in json.loads(found)["hits"]] == ["a"]
    nothing = lsr("search", "fruit", "banana", "--filter", "url = 'x y'").stdout.decode()
    assert "no document found" in nothing
    for options in (["--approximate"], ["--effort", "0.2"], ["--time-budget", "20"]):
        shown = lsr("search", "fruit", "banana", *options).stdout.decode()
        assert re.search(r"· (exact|approximate, what was left out .*) \(sparse .+\)", shown)
    meta = json.loads(lsr("search", "fruit", "banana", "--effort", "1", "--json").stdout)["meta"]
    assert (meta["exact"], meta["bound_gap"]) == (True, 0)
    assert set(meta["plan"]) == {"sparse"}


@pytest.mark.parametrize("kind", ["jsonl", "tsv", "txt", "beir"])
def test_bench_recall_measures_and_suggests(lsr, tmp_path, corpus, kind):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    lines = {
        "jsonl": '{"_id": "q", "text": "cherry"}\n\n{"_id": "r", "text": "banana plum"}\n',
        "tsv": "q\tcherry\nr\tbanana plum\n",
        "txt": "cherry\n\nbanana plum\n",
    }
    source = tmp_path / f"queries.{kind}"
    if kind == "beir":
        source.mkdir()
    target = source / "queries.jsonl" if kind == "beir" else source
    target.write_text(lines.get(kind, lines["jsonl"]))
    result = json.loads(lsr("bench", "recall", "fruit", "--queries", source, "--json").stdout)
    assert (result["queries"], result["documents"], result["using"]) == (2, 3, "sparse")
    efforts = [row["effort"] for row in result["rows"]]
    assert efforts == sorted(efforts)
    assert result["rows"][-1]["recall"] == 1
    enough = [row["effort"] for row in result["rows"] if row["recall"] >= 0.97]
    assert result["effort"] in enough
    table = lsr("bench", "recall", "fruit", "--queries", source, "--k", "2").stdout.decode()
    assert "recall@2" in table
    assert "effort" in table.splitlines()[-1]


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


@pytest.mark.parametrize(
    ("arguments", "reason", "code"),
    [
        (
            ["index", "gone.jsonl", "--into", "x", "--encoder", "bm25"],
            "no file or folder 'gone.jsonl'",
            2,
        ),
        (["index", "corpus.pdf", "--into", "x", "--encoder", "bm25"], "of no known kind", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "nosuch"], "'nosuch' is not a", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "./nosuch"], "does not exist", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "bm25,k9=1"], "'k9' is not", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "bm25,b=7"], "b is 7.0", 2),
        (["index", "corpus.jsonl", "--into", "x", "--encoder", "splade"], "names no model", 2),
        (
            ["index", "corpus.jsonl", "--into", "corpus.jsonl", "--encoder", "bm25"],
            "no collection can be created",
            2,
        ),
        (["index", "corpus.jsonl", "--into", "fruit", "--encoder", "bm25,b=1"], "was built", 1),
        (["search", "fruit", ""], "query is empty", 2),
        (["search", "fruit", "x", "--limit", "0"], "limit is 0", 2),
        (["search", "fruit", "x", "--using", "dense"], "no 'dense' field", 2),
        (["search", "fruit", "x", "--using", "hybrid"], "--dense MODEL", 2),
        (["search", "fruit", "x", "--engine", "wand"], "no engine 'wand'", 2),
        (["search", "nowhere", "x"], "no collection at nowhere", 2),
        (["search", "fruit", "x", "--filter", "a ="], "where it needs a value", 2),
        (["search", "fruit", "x", "--filter", ""], "where it needs a key", 2),
        (["search", "fruit", "x", "--effort", "2"], "the effort is 2.0", 2),
        (["search", "fruit", "x", "--time-budget", "nan"], "the time budget is nan", 2),
        (["bench", "recall", "fruit", "--queries", "gone.txt"], "no file or folder", 2),
        (["bench", "recall", "fruit", "--queries", "corpus.pdf"], "of no known kind", 2),
        (["bench", "recall", "fruit", "--queries", "corpus.jsonl", "--k", "0"], "k is 0", 2),
        (
            ["bench", "recall", "fruit", "--queries", "corpus.jsonl", "--recall", "1.5"],
            "wanted is 1.5",
            2,
        ),
        (["bench", "recall", "fruit", "--queries", "q.tsv"], "q.tsv:2: no query", 2),
        (["info", "nowhere"], "no collection at nowhere", 2),
        (["serve", "nowhere"], "no collection and no folder", 2),
        (["serve", "fruit", "--host", "999.1.1.1"], "can't listen", 2),
        (["eval", "./nowhere"], "there is no folder './nowhere'", 2),
        (["eval", "fruit"], "not a BEIR folder", 2),
        (["eval", "demo", "--measure", "nDCG", "--measure", "Foo@3"], "unknown measures", 2),
        (["eval", "demo", "--load-run", "gone.run"], "gone.run", 1),
    ],
)
def test_bad_input_is_one_clear_sentence(lsr, tmp_path, corpus, arguments, reason, code):
    (tmp_path / "corpus.pdf").write_text("x")
    (tmp_path / "q.tsv").write_text("q\tcherry\nno tab\n")
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    result = lsr(*arguments)
    assert reason in sentence(result)
    assert result.returncode == code


def test_wrong_usage_exits_with_2(lsr):
    for arguments in (["nonsense"], ["index"], ["search", "x"], ["index", "a", "--nope"]):
        result = lsr(*arguments)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr.decode()


def test_a_missing_model_package_names_its_install_line(tmp_path, corpus, masked_lm):
    code = (
        "import sys; sys.modules['torch'] = None; "
        f"sys.argv = ['lsr', 'index', {str(corpus)!r}, '--into', 'm', "
        f"'--encoder', {str(masked_lm) + ',pool=sum'!r}]; from service.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        cwd=tmp_path,
        env=environment(tmp_path),
        check=False,
    )
    assert "pip install 'lsr[models]'" in sentence(result)
    assert result.returncode == 1


def test_eval_prints_a_table_json_and_files(lsr, tmp_path, corpus):
    folder = tmp_path / "fruit"
    folder.mkdir()
    corpus.rename(folder / "corpus.jsonl")
    write_jsonl(
        folder / "queries.jsonl",
        [{"_id": "q1", "text": "cherry"}, {"_id": "q2", "text": "lemon"},
         {"_id": "unjudged", "text": "x"}],
    )  # fmt: skip
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\nq2\ta\t1\n")
    table = lsr(
        "eval", "fruit", "--encoder", "bm25", "--save-run", "out.run", "--save-qrels", "out.qrels"
    )
    shown = table.stdout.decode()
    assert re.search(r"fruit +bm25 +sparse +native +0\.5000", shown)
    assert "data=" in shown
    assert "lsr=" in shown
    result = json.loads(lsr("eval", "fruit", "--encoder", "bm25", "--json").stdout)["results"][0]
    assert result["measures"]["nDCG@10"] == 0.5
    assert (result["dataset"], result["queries"], result["documents"]) == ("fruit", 2, 3)
    assert (tmp_path / "out.qrels").read_text() == "q1 0 b 1\nq2 0 a 1\n"
    assert (tmp_path / "out.run").read_text().startswith("q1 Q0 b 1 ")
    scored = json.loads(lsr("eval", "fruit", "--load-run", "out.run", "--json").stdout)
    assert scored["results"][0]["measures"] == result["measures"]


def test_eval_refuses_an_index_of_other_documents(lsr, tmp_path, corpus):
    lsr("index", corpus, "--into", "other", "--encoder", "bm25")
    result = lsr("eval", "demo", "--index", "other")
    assert "holds" in sentence(result)


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
    a, b = killed.store.sparse_vectors(field), whole.store.sparse_vectors(field)
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.values, b.values)
