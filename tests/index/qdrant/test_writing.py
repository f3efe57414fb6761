"""Writes to Qdrant are whole or not at all, and what is counted is what lives."""

import itertools
from contextlib import suppress

import numpy as np
import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from index.qdrant import writing
from index.qdrant.collection import QdrantCollection
from index.qdrant.layout import RECORDS, number_of
from index.qdrant.state import State, read_state, texts_of
from index.qdrant.statistics import FrequencyLog
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import ConflictError, CorruptionError, InputError, LockedError
from tests.index.qdrant.stopping import Killed, StoppingPort

LONG = "The engine needs oil and a drive. " * 60
WORDS = ["apple", "banana", "cherry", "lemon", "plum", "the", "of", "zebra", "yak"]


def texts(seed, count, ids=range(12)):
    """Documents, of which some are long."""
    rng = np.random.default_rng(seed)
    return [
        Document(
            str(n),
            " ".join(rng.choice(WORDS, rng.integers(0, 12))) + (LONG if n % 5 == 0 else ""),
            metadata={"n": int(n)},
        )
        for n in rng.choice(list(ids), count, replace=False)
    ]


def counted(collection):
    """Of each field: the frequency of each term by its spelling, rows, and the average length."""
    found = {}
    with collection.pinned() as view:
        for field in collection.fields:
            if field.weighed:
                statistics = view.statistics(field)
                terms = np.flatnonzero(statistics.document_frequency)
                spelled = view.tokens(field, terms.tolist())
                found[field.name] = (
                    statistics.documents,
                    statistics.average_length,
                    {spelled[t]: int(statistics.document_frequency[t]) for t in terms.tolist()},
                )
            if field.counted:
                statistics = view.text_statistics(field)
                frequency = np.trim_zeros(statistics.document_frequency, "b")
                found[texts_of(field.name)] = statistics.documents, frequency.tolist()
    return found


def rows_there(port):
    return [point.number for point in port.scroll(payload=False) if point.number < RECORDS]


def check_whole(collection):
    """What is counted is what lives; what lives is there, and nothing else."""
    state = read_state(collection.port)
    documents = [collection.get(identifier) for identifier in collection.ids()]
    assert state.documents == len(documents)
    assert len(rows_there(collection.port)) == state.rows
    return documents


@pytest.fixture(params=["words and bm25", "counted"])
def fields(request, masked_lm):
    """Fields that count: words beside a model, and BM25; or closed terms in texts."""
    if request.param == "counted":
        return encoder_fields(f"inference-free:{masked_lm}")
    return encoder_fields(None, bm25=True)


def test_what_is_counted_is_what_a_collection_in_a_directory_counts(
    fields, new_collection, tmp_path
):
    here = Collection.create(tmp_path / "c", fields, passages="auto")
    there = new_collection(fields, passages="auto")
    for seed in range(4):
        for collection in (here, there):
            upsert_documents(collection, texts(seed, 6))
            collection.delete([str(seed), "nowhere"])
    here.maintenance.flush()
    there.maintenance.flush()
    assert there.digest() == here.digest()
    assert there.ids() == here.ids()
    assert counted(there) == counted(here)
    assert there.maintenance.flushed()
    for using in [field.name for field in fields]:
        for query in ("zebra and yak", "the plum", "engine oil"):
            asked = SearchQuery(query), SearchConfig(using=using)
            found, wanted = search(there, *asked), search(here, *asked)
            assert [hit.id for hit in found.hits] == [hit.id for hit in wanted.hits]
            scores = [hit.score for hit in wanted.hits]
            np.testing.assert_allclose([hit.score for hit in found.hits], scores, rtol=1e-6)


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
@pytest.mark.parametrize("after", [False, True])
def test_a_killed_write_counts_whole_or_not_at_all(monkeypatch, new_port, tmp_path, after):
    """Whichever of its calls was the last, the next writer goes on from a state that is right."""
    fields = encoder_fields(None, bm25=True)
    older, newer, last = texts(1, 8), texts(2, 8), texts(3, 3)
    monkeypatch.setattr(writing, "LEASE", 0.0)
    for calls in itertools.count():
        port = new_port()
        QdrantCollection.create_at(port, fields, passages="auto")
        upsert_documents(QdrantCollection(port), older)
        stopping = StoppingPort(port, calls, after)
        with suppress(Killed):
            upsert_documents(QdrantCollection(stopping), newer)
        opened = QdrantCollection(port)
        held = {each.id: each for each in map(opened.get, opened.ids())}
        before = {each.id: each for each in older}
        assert held in (before, before | {each.id: each for each in newer})
        upsert_documents(opened, last)
        check_whole(opened)
        expected = Collection.create(tmp_path / f"{calls}-{after}", fields, passages="auto")
        held |= {each.id: each for each in last}
        upsert_documents(expected, list(held.values()))
        for collection in (opened, expected):
            collection.maintenance.flush()
        assert counted(opened) == counted(expected)
        if not stopping.stopped:
            break
    assert calls > 5


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_one_writes_at_a_time(monkeypatch, new_port):
    fields = encoder_fields("bm25")
    port = new_port()
    first = QdrantCollection.create_at(port, fields)
    second = QdrantCollection(port)
    with first.writing(), pytest.raises(LockedError, match="is writing to"), second.writing(0.1):
        pass
    with second.writing(), second.writing():
        upsert_documents(second, texts(1, 3))
    # A writer that was away for longer than its lease finds that another took over.
    monkeypatch.setattr(writing, "LEASE", 0.0)
    with first.writing():
        upsert_documents(second, texts(2, 3))
        with pytest.raises(LockedError, match="run the same again"):
            upsert_documents(first, texts(3, 3))
    assert first.digest() == second.digest()
    assert len(check_whole(first)) == len({each.id for each in texts(1, 3) + texts(2, 3)})


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_a_lease_of_a_process_that_died_here_is_free_at_once(monkeypatch, new_port):
    port = new_port()
    QdrantCollection.create_at(port, encoder_fields("bm25"))
    dead = QdrantCollection(port)
    monkeypatch.setattr(writing.os, "getpid", lambda: 2**22 + 1)
    died = QdrantCollection(port)
    died._writer._take(0.0)
    monkeypatch.undo()
    with dead.writing(wait=0.5):
        pass


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_counts_are_weighed_anew_once_lengths_have_drifted(monkeypatch, new_port):
    """Be it interrupted; and a small collection at once."""
    fields = encoder_fields("bm25")
    port = new_port()
    collection = QdrantCollection.create_at(port, fields)
    upsert_documents(collection, [Document(f"short{n}", "apple plum") for n in range(5)])
    monkeypatch.setattr("index.qdrant.weighing.ROWS_AT_ONCE", 3)
    monkeypatch.setattr("index.qdrant.upkeep.FEW", 0)
    upsert_documents(collection, [Document(f"long{n}", "apple " * 40) for n in range(5)])
    assert read_state(port).counted["sparse"].average == 2
    assert not collection.maintenance.flushed()
    monkeypatch.setattr(writing, "LEASE", 0.0)
    for _ in range(2):
        with pytest.raises(Killed):
            QdrantCollection(StoppingPort(port, calls=4)).maintenance.flush()
    collection.maintenance.flush()
    assert collection.maintenance.flushed()
    state = read_state(port)
    assert state.counted["sparse"].average == 21
    assert state.weighing == {}
    fresh = QdrantCollection.create_at(new_port(), fields)
    documents = [collection.get(identifier) for identifier in collection.ids()]
    upsert_documents(fresh, documents)
    for number in rows_there(port):
        wanted = fresh.port.retrieve([number], False, ["sparse"])[number].vectors["sparse"]
        found = port.retrieve([number], False, ["sparse"])[number].vectors["sparse"]
        assert found.values.tolist() == wanted.values.tolist()


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_frequencies_are_a_log_that_is_shortened(new_port):
    port = new_port()
    collection = QdrantCollection.create_at(port, encoder_fields("bm25"))
    reader = FrequencyLog(port)
    for n in range(70):
        upsert_documents(collection, [Document(f"{n % 7}", f"apple w{n}")])
        if n % 9 == 0:
            reader.totals(read_state(port))
    state = read_state(port)
    assert state.log[1] - state.log[0] < 64
    totals = reader.totals(state)["sparse"]
    assert totals.tolist() == FrequencyLog(port).totals(state)["sparse"].tolist()
    assert totals.sum() == 14
    logged = [p.number for p in port.scroll(payload=False) if p.number >= RECORDS + (3 << 48)]
    assert len(logged) == state.log[1] - state.log[0] + 1


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_mistakes_are_told_before_anything_is_written(new_port):
    fields = encoder_fields("bm25")
    collection = QdrantCollection.create_at(new_port(), fields)
    encoder = collection.fields.encoder(fields[0])
    rows = encoder.encode_documents(["apple", "plum"])
    twice = [Document("a", "apple"), Document("a", "plum")]
    with pytest.raises(InputError, match="more than once"):
        collection.upsert(twice, {"sparse": rows})
    with pytest.raises(InputError, match="needs a vector"):
        collection.upsert(twice[:1], {"sparse": rows})
    assert rows_there(collection.port) == []
    with collection.writing():
        collection._writer.change(
            lambda state: writing.replace(state, settings={writing.COPYING: "x"})
        )
    with pytest.raises(ConflictError, match="not whole yet"):
        collection.delete(["a"])


def test_a_state_that_is_damaged_is_not_believed():
    state = State("a" * 32, "[]", reserved=3, written=2, dying=(number_of(1),))
    payload = dict(state.payload)
    assert State.of_payload(payload) == state
    for text in ("", None, payload["state"].replace("2", "3"), payload["state"][:-1]):
        with pytest.raises(CorruptionError, match="damaged"):
            State.of_payload(payload | {"state": text})
    other = State("a" * 32, "[]", reserved=1, written=2)
    with pytest.raises(CorruptionError, match="damaged"):
        State.of_payload(other.payload)
