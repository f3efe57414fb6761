"""What holds of whole documents holds of split ones: in segments and merges of them, in snapshots,
exports and imports, and in every engine. The oracle is exhaustive search over one segment.
"""

import random
from contextlib import closing
from importlib.util import find_spec

import pytest

from index.collection import current_view, tail
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import Field, encoder_fields
from index.collection.maintenance import MaintenanceConfig
from index.collection.snapshot import restore, snapshot
from index.filters.text_form import parse_filter_text
from index.importing import import_vectors, open_for_import, stored_vectors
from index.indexing import index_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import given_items
from lsr.corpus.passages import Passage
from lsr.vectors.csr import Maker
from lsr.vectors.formats import open_vectors, vector_writer
from lsr.vectors.output import VectorOutput
from tests.index.engines.contract import batch_of

TERMS = 12
FIELDS = [Field("sparse", "sparse", "none", "none", TERMS)]
SMALL = MaintenanceConfig(flush_documents=15, merge_factor=2, fewest_deleted=1)
QUIET = MaintenanceConfig(flush_documents=10**9)
QUERIES = [{0: 1.0}, {1: 1.0, 2: 1.0}, {3: 1.0, 4: 1.0, 5: 1.0}, {11: 1.0}]


def rows_of(identifier, version):
    """The vectors of a version of a document, one to six passages; the largest weight is 255."""
    numbers = random.Random(f"{identifier}/{version}")
    rows = [
        {term: numbers.choice([1.0, 2.0, 60.0, 255.0]) for term in numbers.sample(range(TERMS), 4)}
        for _ in range(numbers.randint(1, 6))
    ]
    # Integers of a segment are as large as its largest weight makes them.
    rows[0][0] = 255.0
    return rows


def write(collection, versions):
    """Write these versions of documents as one batch."""
    made = {identifier: rows_of(identifier, version) for identifier, version in versions}
    documents = [
        Document(each, "x" * len(rows), metadata={"even": int(each[1:]) % 2 == 0})
        for each, rows in made.items()
    ]
    passages = [
        [Passage(n, n + 1, f"h{n}", n + 1) for n in range(len(rows))] if len(rows) > 1 else []
        for rows in made.values()
    ]
    flat = [row for rows in made.values() for row in rows]
    collection.upsert(documents, {"sparse": batch_of(flat, TERMS)}, passages)


def written(path, config):
    """Documents written, updated and deleted, some at a time."""
    collection = Collection.create(path, FIELDS, config, passages="auto")
    for start in range(0, 60, 10):
        write(collection, [(f"d{n}", 1) for n in range(start, start + 10)])
        write(collection, [(f"d{n}", start) for n in range(0, start + 1, 7)])
        collection.delete([f"d{n}" for n in range(3, start, 11)])
        if config is SMALL:
            collection.maintenance.flush()
    return collection


def rankings(collection, engine="native", filtered=""):
    """Documents with their best passages, of every query."""
    masks = parse_filter_text(filtered) if filtered else None
    found = []
    with collection.pinned() as view:
        field = collection.fields.named("sparse")
        for query in QUERIES:
            kept = None if masks is None else view.masks(masks)
            for k in (1, 7, 100):
                top = view.search_sparse(field, batch_of([query], TERMS), k, engine, masks=kept)
                ranking, passages = top.ranking(0), top.passages_of(0)
                ids = collection.store.ids([number for number, _ in ranking])
                found.append(
                    [
                        (ids[number], pytest.approx(score, rel=1e-5), passages.get(number, 0))
                        for number, score in ranking
                    ]
                )
    return found


@pytest.fixture
def exhaustive(tmp_path):
    """Rankings of exhaustive search over one segment, by filter."""
    with closing(written(tmp_path / "one", QUIET)) as collection:
        collection.maintenance.flush()
        return {each: rankings(collection, "reference", each) for each in ("", "even = true")}


def test_flushes_and_merges_keep_rankings(tmp_path, exhaustive):
    with closing(written(tmp_path / "c", SMALL)) as collection:
        for filtered, expected in exhaustive.items():
            assert rankings(collection, "native", filtered) == expected
        before = collection.describe()
        assert before["passages"] > before["split"] > 20
        collection.maintenance.flush()
        assert check(collection).problems == []
        assert rankings(collection) == exhaustive[""]


@pytest.mark.parametrize("largest", [7, 20])
def test_a_tail_that_no_part_holds_is_in_several(tmp_path, exhaustive, monkeypatch, largest):
    for module in (tail, current_view):
        monkeypatch.setattr(module, "LARGEST_PART", largest)
    with closing(written(tmp_path / "c", QUIET)) as grown, closing(grown.open(grown.path)) as made:
        for collection in (grown, made):
            for filtered, expected in exhaustive.items():
                assert rankings(collection, "native", filtered) == expected
            segments = collection.view().segments
            assert len(segments) > 150 / largest
            assert max(map(len, segments)) <= largest


@pytest.mark.skipif(find_spec("pyserini") is None, reason="needs pip install '.[lucene]'")
@pytest.mark.parametrize("config", [QUIET, SMALL])
def test_lucene_ranks_documents_by_their_best_passages(tmp_path, exhaustive, config):
    """Weights are its integers here, and query weights all alike, so nothing is rounded."""
    with closing(written(tmp_path / "c", config)) as collection:
        collection.maintenance.flush()
        for filtered, expected in exhaustive.items():
            assert rankings(collection, "lucene", filtered) == expected


def test_a_snapshot_brings_passages_back(tmp_path, exhaustive):
    with closing(written(tmp_path / "c", SMALL)) as collection:
        snapshot(collection, tmp_path / "taken")
        there = len(collection)
        write(collection, [(f"d{n}", 99) for n in range(60)])
    assert restore(tmp_path / "taken", tmp_path / "restored").documents == there
    with closing(Collection.open(tmp_path / "restored", SMALL)) as restored:
        assert restored.passages == "auto"
        for engine in ("native", "reference"):
            assert rankings(restored, engine) == exhaustive[""]
        assert check(restored).problems == []
        write(restored, [("d60", 1)])
        restored.maintenance.flush()
        assert check(restored).problems == []


LONG = [
    Document(f"d{n}", " ".join(f"Engine {n} needs oil and {word}." for word in "abcdef" * 20))
    for n in range(3)
]
SHORT = [Document(f"s{n}", f"A car, number {n}, needs oil.") for n in range(3)]


@pytest.mark.parametrize("kind", ["jsonl", "csr"])
def test_what_is_exported_is_found_again_passage_by_passage(tmp_path, kind):
    """A passage is a document of its own there, ranked as the passage was."""
    with closing(Collection.create(tmp_path / "c", encoder_fields("bm25"), passages="auto")) as c:
        assert index_documents(c, given_items(LONG + SHORT)).split == 3
        passages = c.describe()["passages"]
        field, encoder = c.fields[0], c.fields.encoder(c.fields[0])
        file = tmp_path / ("v.jsonl" if kind == "jsonl" else "v.safetensors")
        output = VectorOutput(
            file,
            {},
            lambda files: vector_writer(
                kind, files, c.fields.vocabulary(field), Maker(encoder.name, encoder.fingerprint)
            ),
        )
        for documents, batch in stored_vectors(c, field):
            output.append(documents, batch, output.items + len(documents), "")
        output.finish()
        source = open_vectors(str(file))
        with closing(open_for_import(tmp_path / "i", source, "bm25")) as imported:
            import_vectors(imported, source)
            assert len(imported) == passages + len(SHORT)
            for text in ("engine 2 oil", "car number 1", "f"):
                query, config = SearchQuery(text), SearchConfig(limit=100)
                best = {}
                for hit in search(imported, query, config).hits:
                    identifier, _, place = hit.id.partition("#")
                    best.setdefault(identifier, (hit.score, int(place or 0)))
                for hit in search(c, query, config).hits:
                    number = hit.passage.number if hit.passage else 0
                    assert best.pop(hit.id) == (hit.score, number)
                assert best == {}
