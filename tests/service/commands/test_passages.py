"""Passages at the command line, over REST, in evaluations and in exported vectors."""

import json

import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.settings import ServerSettings
from tests.lsr.corpus.pdf_files import pdf
from tests.service.conftest import URL, sentence

PAGE = " ".join(f"Engine number {n} needs oil before it runs." for n in range(30))
MANUAL = "# Manual\n\n" + "\n\n".join(f"## Part {n}\n\n{PAGE}" for n in range(1, 31))
ANSWER = MANUAL.replace(
    "## Part 26", "The purple zebra valve is replaced by a plumber.\n\n## Part 26"
)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    made.mkdir()
    (made / "manual.md").write_text(ANSWER)
    for n in range(5):
        (made / f"n{n}.txt").write_text(f"A purple car, number {n}.")
    return made


def test_a_manual_is_found_at_the_part_that_answers(lsr, folder, tmp_path):
    indexed = lsr("index", folder, "--into", "all", "--encoder", "bm25")
    assert "1 long document was split into " in indexed.stdout.decode()
    shown = lsr("search", "all", "purple zebra valve").stdout.decode()
    first = shown.splitlines()[0]
    assert "Manual" in first
    assert ", Part 25)" in first
    assert "zebra" in shown
    (hit, *_) = json.loads(lsr("search", "all", "zebra", "--json").stdout)["hits"]
    with TestClient(create_app(ServerSettings(paths=[tmp_path / "all"])), base_url=URL) as client:
        body = {"query": {"text": "zebra"}, "with_payload": True}
        answer = client.post("/v1/indexes/all/search", json=body).json()
    assert answer["hits"][0].items() <= hit.items()
    place = hit["passage"]
    assert place["heading"] == "Part 25"
    assert "zebra" in hit["payload"]["text"][place["start"] : place["end"]]
    info = json.loads(lsr("info", "all", "--json").stdout)
    assert (info["split"], info["passages"], info["splitting"]) == (1, place["count"], "auto")


def test_a_manual_of_30_pages_is_found_by_its_page_and_gone_after_a_sync(lsr, tmp_path):
    """With the default encoder, which reads a page of them all."""
    folder = tmp_path / "doc"
    folder.mkdir()
    pages = [f"Chapter {n}. {'The engine needs oil before it runs. ' * 25}" for n in range(1, 31)]
    pages[24] += "The purple zebra valve is replaced by a plumber."
    (folder / "MANUAL.PDF").write_bytes(pdf(*pages, title="Manual"))
    (folder / "car.html").write_text("<title>Car</title><p>A purple car has a valve.")
    (folder / "handbuch.md").write_text("# Handbuch\n\nDas Ventil wird vom Klempner ersetzt.")
    (folder / "valve.py").write_text("def valve():\n    return 'purple'\n")
    (folder / "logo.png").write_bytes(b"\x89PNG")
    indexed = lsr("index", folder, "--into", "c").stdout.decode()
    assert "c holds 4 documents" in indexed
    assert "1 long document was split into " in indexed
    assert "passed over: 1 .png (of no kind that is read)" in indexed
    for query in ("who replaces the purple zebra valve?", "plumber"):
        first = lsr("search", "c", query).stdout.decode().splitlines()[0]
        assert "Manual" in first
        assert "MANUAL.PDF  (page 25, " in first
    (folder / "MANUAL.PDF").unlink()
    synced = lsr("index", folder, "--into", "c", "--sync").stdout.decode()
    assert "3 unchanged, 1 deleted" in synced
    assert "Manual" not in lsr("search", "c", "plumber").stdout.decode()


def test_off_leaves_documents_whole_and_stays_off(lsr, folder, masked_lm):
    encoder = f"splade:{masked_lm},max_length=64"
    cut = lsr("index", folder, "--into", "off", "--encoder", encoder, "--passages", "off")
    assert "1 document is longer than the encoder reads" in cut.stdout.decode()
    (hit, *_) = json.loads(lsr("search", "off", "engine", "--json").stdout)["hits"]
    assert "passage" not in hit
    again = lsr("index", folder, "--into", "off", "--passages", "auto")
    assert "was built with passages off" in sentence(again)
    report = json.loads(lsr("index", folder, "--into", "off", "--json").stdout)
    assert (report["unchanged"], report["split"], report["cut"]) == (6, 0, 0)


def test_an_evaluation_uses_passages_as_an_index_does_and_says_so(lsr, folder, tmp_path):
    data = tmp_path / "data"
    (data / "qrels").mkdir(parents=True)
    documents = [{"_id": "manual", "text": ANSWER}, {"_id": "car", "text": "A purple car."}]
    (data / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in documents))
    (data / "queries.jsonl").write_text('{"_id": "q", "text": "zebra valve"}\n')
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tmanual\t1\n")
    for options, said in (([], "auto (split: 1)"), (["--passages", "off"], "off (split: 0)")):
        rows = json.loads(lsr("eval", data, "--encoder", "bm25", "--json", *options).stdout)
        (row,) = rows["results"]
        assert row["provenance"]["passages"].startswith(said)
        assert (row["measures"]["nDCG@10"], row["documents"]) == (1.0, 2)


def test_exported_vectors_are_of_passages(lsr, folder, tmp_path):
    lsr("index", folder, "--into", "all", "--encoder", "bm25")
    count = json.loads(lsr("info", "all", "--json").stdout)["passages"]
    exported = lsr("export", "all", "--out", "all.jsonl")
    assert exported.returncode == 0, exported.stderr
    ids = [json.loads(line)["id"] for line in (tmp_path / "all.jsonl").open()]
    manual = [each for each in ids if each.startswith("manual.md")]
    assert manual == [f"manual.md#{n}" for n in range(1, count + 1)]
    assert len(ids) == count + 5
