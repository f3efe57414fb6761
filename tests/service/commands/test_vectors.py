"""lsr encode, import and export, as a user runs them."""

import json
import signal
import subprocess
import sys

import pytest

from tests.service.conftest import environment, sentence, write_jsonl
from tests.waiting import wait_until


@pytest.mark.parametrize(
    "name", ["a.jsonl.gz", "a.safetensors", "a.ciff.gz", "A.JSONL.GZ", "A.CIFF"]
)
def test_encode_import_search(lsr, corpus, name):
    result = lsr("encode", corpus, "--encoder", "bm25", "--out", name)
    assert result.returncode == 0, result.stderr
    assert f"{name} holds 3" in result.stdout.decode()
    lsr("index", corpus, "--into", "direct", "--encoder", "bm25")
    result = lsr("import", name, "--into", "fruit", "--encoder", "bm25", "--documents", corpus)
    assert result.returncode == 0, result.stderr
    assert "3 created" in result.stdout.decode()
    found = [
        json.loads(lsr("search", each, "cherry banana", "--json").stdout)["hits"]
        for each in ("direct", "fruit")
    ]
    assert found[0]
    assert found[0] == found[1]


def test_an_import_that_fails_leaves_no_collection(lsr, tmp_path):
    (tmp_path / "none.jsonl").write_text('{"id": "a", "vector": {"x": null}}\n')
    failed = lsr("import", "none.jsonl", "--into", "c")
    assert failed.returncode == 1
    assert "no vector could be read, so there is no collection at c" in failed.stderr.decode()
    assert not (tmp_path / "c").exists()
    (tmp_path / "some.JSONL").write_text('{"id": "a", "vector": {"x": 1}}\n')
    assert lsr("import", "some.JSONL", "--into", "c").returncode == 0
    assert lsr("import", "none.jsonl", "--into", "c").returncode == 1
    assert (tmp_path / "c").exists()


def test_queries_and_quantised_weights_on_standard_output(lsr, tmp_path, masked_lm):
    queries = tmp_path / "queries.tsv"
    queries.write_text("q\tapple pie\n")
    name = f"splade:{masked_lm}"
    plain = lsr("encode", queries, "--encoder", name, "--queries", "--out", "-")
    assert plain.returncode == 0, plain.stderr
    record = json.loads(plain.stdout)
    assert (record["id"], record["contents"]) == ("q", "apple pie")
    result = lsr(
        "encode", queries, "--encoder", name, "--queries", "--out", "-",
        "--format", "seismic", "--quantise", "100", "--no-contents",
    )  # fmt: skip
    rounded = {token: round(100 * weight) for token, weight in record["vector"].items()}
    assert json.loads(result.stdout) == {
        "id": "q",
        "vector": {token: weight for token, weight in rounded.items() if weight},
    }


def test_a_collection_without_an_encoder_is_searched_by_tokens(lsr, tmp_path):
    rows = [{"id": "a", "contents": "Plum pie", "vector": {"plum": 2.5, 'q"q': 1}}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    lsr("import", "a.jsonl", "--into", "fruit")
    found = json.loads(lsr("search", "fruit", "--tokens", '{"plum": 2}', "--json").stdout)
    assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [("a", 5.0)]
    shown = lsr("search", "fruit", "--tokens", '{"plum": 2}').stdout.decode()
    assert "Plum pie" in shown
    assert "no imported vector" not in shown
    asked = {"plum": 2} | {f"fig{number}": 1 for number in range(8)}
    found = json.loads(lsr("search", "fruit", "--tokens", json.dumps(asked), "--json").stdout)
    assert [hit["score"] for hit in found["hits"]] == [5.0]
    assert found["meta"]["unknown_tokens"] == [f"fig{number}" for number in range(8)]
    shown = lsr("search", "fruit", "--tokens", json.dumps(asked)).stdout.decode()
    assert "no imported vector has 'fig0', 'fig1'" in shown
    assert "and 2 more, so it adds nothing" in shown
    for arguments, reason in (
        (["plum"], "can't be searched by text; give tokens"),
        (["--tokens", '{"plum": "1"}'], "give an object of numbers"),
        (["--tokens", "plum"], "not valid JSON"),
        ([], "there is no query"),
    ):
        result = lsr("search", "fruit", *arguments)
        assert result.returncode == 2
        assert reason in sentence(result)
    assert json.loads(lsr("info", "fruit", "--json").stdout)["fields"][0]["encoder"] == "imported"
    result = lsr("index", "a.jsonl", "--into", "fruit")
    assert "no text can be indexed into it" in sentence(result)
    write_jsonl(tmp_path / "b.jsonl", [{"id": "b", "vector": {"fig0": 1, "plum": 1}}])
    assert b"new to the vocabulary: 1" in lsr("import", "b.jsonl", "--into", "fruit").stdout
    found = json.loads(lsr("search", "fruit", "--tokens", json.dumps(asked), "--json").stdout)
    assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [("a", 5.0), ("b", 3.0)]


def test_standard_input_is_imported(lsr):
    line = b'{"id": "a", "vector": {"plum": 2}}\n'
    result = lsr("import", "-", "--into", "fruit", "--encoder", "bm25", "--json", stdin=line)
    assert json.loads(result.stdout)["created"] == 1
    result = lsr("import", "-", "--into", "other", stdin=line)
    assert "give --encoder NAME, or a file" in sentence(result)


def test_bad_items_are_named_and_the_exit_code_is_1(lsr, tmp_path):
    (tmp_path / "c.jsonl").write_text('{"id": "a", "text": "plum"}\n{"id": "b"}\n')
    result = lsr("encode", "c.jsonl", "--encoder", "bm25", "--out", "c.safetensors", "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["encoded"], report["rejected"]) == (1, 1, 1)
    assert "c.jsonl:2: the document has no text" in result.stderr.decode()
    (tmp_path / "v.jsonl").write_text(
        '{"id": "a", "vector": {"plum": 1}}\n{"id": "b", "vector": {"plum": -1}}\n'
    )
    result = lsr("import", "v.jsonl", "--into", "fruit")
    assert (result.returncode, b"v.jsonl:2: " in result.stderr) == (1, True)
    assert "1 created, 1 rejected" in result.stdout.decode()


def test_notes_on_a_file(lsr, tmp_path):
    (tmp_path / "v.jsonl").write_text('{"id": "a", "vector": {"x": 70000, "y": 1.5, "z": 0.001}}\n')
    (tmp_path / "none.jsonl").write_text("")
    result = lsr("import", "v.jsonl", "--into", "c", "--documents", "none.jsonl").stdout.decode()
    assert "1 weights were above 65,504" in result
    assert "1 vectors have no document" in result
    result = lsr("export", "c", "--out", "c.ciff").stdout.decode()
    assert "each weight was multiplied by 100 and rounded; 1 weights became 0" in result
    report = json.loads(lsr("export", "c", "--out", "c.jsonl", "--json").stdout)
    assert (report["encoded"], report["weights"], report["notes"]) == (1, 3, [])
    assert json.loads((tmp_path / "c.jsonl").read_text())["vector"]["y"] == 1.5


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["encode", "c.jsonl", "--out", "a.txt"], "no known kind"),
        (["encode", "c.jsonl", "--out", "a.bin", "--format", "arrow"], "is no format of vectors"),
        (["encode", "c.jsonl", "--out", "c.jsonl"], "is there already"),
        (["encode", "c.jsonl", "--out", "a.jsonl", "--quantise", "0"], "can't be quantised by 0"),
        (["encode", "c.jsonl", "--out", "-", "--quantise", "-1"], "can't be quantised by -1"),
        (["encode", "c.jsonl", "--out", "-", "--format", "csr"], "to standard output"),
        (["encode", "c.jsonl", "--out", "-", "--json"], "leave out --json"),
        (
            ["encode", "c.jsonl", "--encoder", "bm25", "--queries", "--out", "q.jsonl"],
            "statistics of a collection",
        ),
        (["encode", "none.jsonl", "--out", "a.jsonl"], "no file or folder"),
        (["import", "none.jsonl", "--into", "c"], "no file or folder"),
        (["import", "c.txt", "--into", "c"], "no file or folder"),
        (["export", "none", "--out", "a.jsonl"], "no collection"),
        (["export", "fruit", "--out", "a.jsonl", "--field", "dense"], "has no 'dense' field"),
    ],
)
def test_wrong_usage_is_one_sentence(lsr, tmp_path, arguments, reason):
    write_jsonl(tmp_path / "c.jsonl", [{"id": "a", "text": "plum"}])
    if "fruit" in arguments:
        lsr("index", "c.jsonl", "--into", "fruit", "--encoder", "bm25")
    result = lsr(*arguments)
    assert result.returncode == 2
    assert reason in sentence(result)


def test_a_killed_run_goes_on(lsr, tmp_path):
    write_jsonl(tmp_path / "c.jsonl", [{"id": str(n), "text": f"apple {n}"} for n in range(6000)])
    command = ["encode", "-", "--encoder", "bm25", "--out", "a.safetensors"]
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", *command],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
    )
    # What is left open has no end, so the run can't end before it is killed.
    process.stdin.writelines((tmp_path / "c.jsonl").read_bytes().splitlines(keepends=True)[:4000])
    process.stdin.flush()
    journal = tmp_path / "a.safetensors.part" / "journal.json"
    wait_until(lambda: journal.exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "a.safetensors").exists()
    report = json.loads(
        lsr("encode", "c.jsonl", "--encoder", "bm25", "--out", "a.safetensors", "--json").stdout
    )
    assert report["kept"] > 0
    assert report["kept"] + report["encoded"] == 6000
    lsr("encode", "c.jsonl", "--encoder", "bm25", "--out", "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    assert (tmp_path / "a.safetensors").read_bytes() == whole


PEAK = """
import resource, runpy, sys
sys.argv = ["lsr", *sys.argv[1:]]
try:
    runpy.run_module("service.cli", run_name="__main__")
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def peak_mb(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)],
        cwd=folder, env=environment(folder), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stderr.splitlines()[-1]) / 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fewer"), [("a.jsonl", 20_000), ("a.safetensors", 20_000), ("a.ciff", 40_000)]
)
def test_twice_the_passages_take_no_more_memory(tmp_path, name, fewer):
    peaks = {}
    for count in (fewer, 2 * fewer):
        corpus = write_jsonl(
            tmp_path / f"{count}.jsonl",
            [{"id": str(n), "text": " ".join(map(str, range(n, n + 40)))} for n in range(count)],
        )
        out = f"{count}-{name}"
        peaks[count] = peak_mb(
            tmp_path, "encode", corpus, "--encoder", "bm25", "--out", out, "--quiet"
        )
    assert peaks[2 * fewer] < peaks[fewer] + 20


def test_an_import_reads_its_documents_as_index_does(lsr, tmp_path):
    """The same options on fields, columns and files, and what was passed over is said."""
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "goods.csv").write_text("sku,label,about\ns1,Saw,Cuts wood\nh1,Hammer,Drives nails\n")
    (shop / "more.csv").write_text("sku,label,about\nx1,Axe,Splits logs\n")
    (shop / "logo.png").write_bytes(b"\x89PNG")
    reading = ["--id-field", "sku", "--title-field", "label", "--text-field", "about"]
    reading += ["--exclude", "more.csv"]
    written = lsr("encode", shop, "--encoder", "bm25", "--out", "v.jsonl", *reading)
    assert "1 .png (of no kind that is read)" in written.stdout.decode()
    streamed = lsr("encode", shop, "--encoder", "bm25", "--out", "-", *reading)
    assert "1 .png (of no kind that is read)" in streamed.stderr.decode()
    lsr("index", shop, "--into", "direct", "--encoder", "bm25", *reading)
    given = ["--encoder", "bm25", "--documents", shop]
    done = lsr("import", "v.jsonl", "--into", "c", *given, *reading)
    assert (
        "passed over: 1 .png (of no kind that is read), 1 .csv (excluded)" in done.stdout.decode()
    )
    again = json.loads(lsr("import", "v.jsonl", "--into", "c", *given, *reading, "--json").stdout)
    assert (again["unchanged"], again["without_text"], len(again["passed_over"])) == (2, 0, 2)
    found = [
        json.loads(lsr("search", each, "saw", "--json").stdout)["hits"] for each in ("direct", "c")
    ]
    assert found[0] == found[1]
    assert found[0][0]["payload"]["title"] == "Saw"
    other = lsr("import", "v.jsonl", "--into", "d", *given, "--id-field", "label")
    assert "2 vectors have no document" in other.stdout.decode()
    refused = lsr("import", "v.jsonl", "--into", "e", "--id-field", "sku")
    assert refused.returncode == 2
    assert "are for the corpus of --documents" in sentence(refused)
    assert not (tmp_path / "e").exists()
