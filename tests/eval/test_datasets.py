"""Datasets hold exactly the judged queries, whatever they were read from."""

import gzip
import json
from dataclasses import replace

import pytest

from eval.datasets import Dataset, load_dataset
from lsr.corpus.documents import Document, Query
from lsr.errors import InputError, NotFoundError

DOCUMENTS = [Document("d1", "first text", "one"), Document("d2", "zweiter Text", "zwei")]
QUERIES = [Query("q1", "first?"), Query("q2", "naïve 中文"), Query("q3", "not judged")]
QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    zipped = path.suffix == ".gz"
    path.write_bytes(gzip.compress(text.encode()) if zipped else text.encode())


def beir(folder, suffix="", queries=QUERIES, qrels=QRELS, split="test"):
    rows = [{"_id": d.id, "title": d.title, "text": d.text} for d in DOCUMENTS]
    save(folder / f"corpus.jsonl{suffix}", "\n".join(map(json.dumps, rows)))
    rows = [{"_id": query.id, "text": query.text} for query in queries]
    save(folder / f"queries.jsonl{suffix}", "\n\n".join(map(json.dumps, rows)))
    lines = [
        f"{query}\t{d}\t{grade}" for query, found in qrels.items() for d, grade in found.items()
    ]
    save(folder / f"qrels/{split}.tsv{suffix}", "\n".join(["query-id\tcorpus-id\tscore", *lines]))
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_beir_folder(tmp_path, suffix):
    dataset = load_dataset(str(beir(tmp_path / "tiny", suffix)))
    assert dataset.name == "tiny"
    assert dataset.queries == QUERIES[:2]
    assert dataset.qrels == QRELS
    for _ in range(2):
        assert [item.document for item in dataset.corpus()] == DOCUMENTS


def test_a_split_chooses_its_judgements(tmp_path):
    beir(tmp_path, qrels={"q3": {"d1": 1}}, split="train")
    assert load_dataset(str(beir(tmp_path)), "train").queries == QUERIES[2:]


def test_a_missing_split_names_those_there_are(tmp_path):
    beir(tmp_path, ".gz", split="train")
    beir(tmp_path, split="dev")
    with pytest.raises(NotFoundError, match="has no split 'test'; it has dev, train"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("missing", ["corpus.jsonl", "queries.jsonl"])
def test_a_folder_that_is_no_beir_folder_is_refused(tmp_path, missing):
    (beir(tmp_path) / missing).unlink()
    with pytest.raises(NotFoundError, match=r"is not a BEIR folder: it needs corpus\.jsonl and"):
        load_dataset(str(tmp_path))


def test_judged_queries_that_are_missing_are_counted(tmp_path):
    beir(tmp_path / "tiny", queries=QUERIES[2:])
    with pytest.raises(InputError, match="judges 2 queries that it does not have, such as 'q1'"):
        load_dataset(str(tmp_path / "tiny"))


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", '"text"', "5", '{"_id": "q"}', '{"text": "a"}', '{"_id": "q", "text": 5}',
     '{"_id": "q", "text": "\\ud800"}'],
)  # fmt: skip
def test_malformed_queries_are_named_by_line(tmp_path, line):
    path = beir(tmp_path) / "queries.jsonl"
    path.write_text(path.read_text() + "\n" + line)
    number = len(path.read_text().splitlines())
    with pytest.raises(InputError) as caught:
        load_dataset(str(tmp_path))
    assert f"{path}:{number}: no query" in str(caught.value)
    assert "; give " in str(caught.value)


def test_queries_that_are_not_utf8_are_refused(tmp_path):
    (beir(tmp_path) / "queries.jsonl").write_bytes(b'{"_id": "q", "text": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"queries\.jsonl:1: the file can't be read further"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("name", ["./nothing", "/nothing/there", "~/nothing", "~nobody-here/a"])
def test_missing_folders_are_named(name):
    with pytest.raises(NotFoundError, match="there is no folder"):
        load_dataset(name)


def test_a_name_that_is_nothing_is_explained():
    with pytest.raises(NotFoundError, match="neither a folder nor a dataset of ir_datasets"):
        load_dataset("no/such/dataset")


@pytest.fixture(scope="module")
def local_irds(tmp_path_factory):
    """Names of ir_datasets datasets over local files: a whole one and one without judgements."""
    folder = tmp_path_factory.mktemp("irds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IR_DATASETS_HOME", str(folder / "home"))
        import ir_datasets
    save(folder / "docs.tsv", "d1\tone first text\nd2\tzwei zweiter Text\n")
    save(folder / "queries.tsv", "".join(f"{query.id}\t{query.text}\n" for query in QUERIES))
    save(folder / "qrels.txt", "q1 0 d1 2\nq1 0 d2 0\nq2 0 d2 1\n")
    files = {
        "docs_tsv": str(folder / "docs.tsv"),
        "queries_tsv": str(folder / "queries.tsv"),
        "qrels_trec": str(folder / "qrels.txt"),
    }
    whole = ir_datasets.create_dataset(**files)
    files.pop("qrels_trec")
    ir_datasets.registry.register("local-eval/tiny", whole)
    ir_datasets.registry.register("local-eval/unjudged", ir_datasets.create_dataset(**files))
    return "local-eval/tiny", "local-eval/unjudged"


@pytest.mark.parametrize("prefix", ["", "irds:"])
def test_ir_datasets(local_irds, prefix):
    dataset = load_dataset(prefix + local_irds[0])
    assert (dataset.name, dataset.queries, dataset.qrels) == (local_irds[0], QUERIES[:2], QRELS)
    texts = [item.document.contents for item in dataset.corpus()]
    assert texts == [document.contents for document in DOCUMENTS]


def test_an_ir_dataset_without_judgements_is_refused(local_irds):
    with pytest.raises(NotFoundError, match="'local-eval/unjudged' has no qrels; choose one"):
        load_dataset(local_irds[1])


@pytest.mark.parametrize(
    ("name", "drops"),
    [
        ("arguana", True),
        ("beir/arguana", True),
        ("BEIR-Quora", True),
        ("beir/quora/test", True),
        ("scifact", False),
        ("demo", False),
    ],
)
def test_only_self_retrieving_collections_drop_the_query_itself(name, drops):
    assert Dataset(name, list, [], {}).drops_self is drops


def test_digest_follows_queries_and_judgements_not_their_order():
    dataset = Dataset("a", list, QUERIES[:2], QRELS)
    turned = {query: dict(reversed(QRELS[query].items())) for query in reversed(QRELS)}
    assert replace(dataset, name="b", queries=QUERIES[1::-1], qrels=turned).digest() == (
        dataset.digest()
    )
    changes = [
        {"queries": [QUERIES[0], Query("q2", "other")]},
        {"qrels": QRELS | {"q2": {"d2": 2}}},
        {"qrels": QRELS | {"q2": {"d3": 1}}},
    ]
    assert len({replace(dataset, **change).digest() for change in [{}, *changes]}) == 4
