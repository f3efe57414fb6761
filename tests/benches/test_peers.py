"""Every peer that is installed, each of its builds and settings, beside exhaustive scoring."""

from types import SimpleNamespace

import pytest
from engine_bench.truth import Truth
from engine_bench.vectors import save_batch
from engine_bench.worker import Worker
from packages import why_missing
from peers.engine import APPROXIMATE, ENGINES, EXACT, NEEDS, ROUNDED, describe, load_engine

from tests.benches.test_engine_bench import TERMS, random_batch

K = 10
QUERIES = 20
KIND = ("made", "all")
# What a mode finds at the least; of the approximate settings, the best one.
LEAST = {EXACT: 1.0, ROUNDED: 0.95, APPROXIMATE: 0.9}


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    documents, queries = random_batch(600, 40, 1), random_batch(QUERIES, 8, 2)
    save_batch(folder, documents)
    (folder / "made").mkdir()
    save_batch(folder / "made", queries)
    return SimpleNamespace(folder=folder, truth=Truth(documents, queries, K))


def settings_of(collection, name, build, place):
    """Each setting of an index that was built so, with what it finds."""
    worker = Worker(name, build, collection.folder / f"{name}-{place}", K)
    try:
        built = worker.built(TERMS)
        assert built.bytes > 0
        assert built.peak_memory_mb > 1
        worker.load({"made": collection.folder / "made"}, {"all": None}, TERMS)
        for setting in worker.settings():
            yield setting, worker.round(KIND, setting, QUERIES, batch=True)
    finally:
        worker.close()


@pytest.mark.parametrize("name", ENGINES)
def test_a_peer_finds_what_exhaustive_scoring_finds(collection, name):
    if sentence := why_missing(name, NEEDS[name]):
        pytest.skip(sentence)
    best = {}
    for place, build in enumerate(load_engine(name).builds):
        for setting, found in settings_of(collection, name, build, place):
            assert len(found.rankings) == QUERIES
            for ranking in found.rankings:
                assert len(set(ranking)) == len(ranking) <= K
                assert all(0 <= document < 600 for document in ranking)
            recall = collection.truth.recall(found.rankings)
            what = f"{describe(build)} {setting}"
            assert setting.mode == APPROXIMATE or recall >= LEAST[setting.mode], what
            best[setting.mode] = max(recall, best.get(setting.mode, 0))
    assert all(recall >= LEAST[mode] for mode, recall in best.items()), best


@pytest.mark.parametrize(("name", "documents"), [("bmp", 10**6), ("kannolo", 10**6)])
def test_what_would_take_too_long_or_too_much_is_left_out_with_a_reason(name, documents):
    peer = load_engine(name)
    assert peer.unfit(peer.builds[0], documents)
    assert peer.unfit(peer.builds[0], 1000) is None
