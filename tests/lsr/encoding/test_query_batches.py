"""Queries of many threads through one model: each gets its own rows, whatever goes with them."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoding.query_batches import MOST_KEPT, QueryBatches, encoded_together, encoding_by
from lsr.errors import InputError, OverloadedError

SECONDS = 120


class Model:
    """Encodes texts as their lengths, when it is let; notes what it was given."""

    def __init__(self, waits=False):
        self.at_work, self.go_on = threading.Semaphore(0), threading.Event()
        self.seen = []
        if not waits:
            self.go_on.set()

    def __call__(self, texts):
        self.seen.append(list(texts))
        self.at_work.release()
        assert self.go_on.wait(SECONDS)
        if "wrong" in texts:
            raise InputError("it is wrong")
        return np.array([[len(text)] for text in texts], dtype=np.float32)


def result(future):
    return future.result(SECONDS)


@pytest.fixture
def batches():
    made = QueryBatches(most_waiting=8, largest=4)
    yield made
    made.close()


def begin(pool, batches, model, *texts, key="m"):
    """An encoding that waits with all that were begun before it."""
    waiting = batches.waiting
    started = pool.submit(batches.encode, key, texts, model, result)
    while batches.waiting == waiting:
        assert not started.done()
    return started


def test_what_waits_goes_together_in_order(batches):
    model = Model(waits=True)
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(batches.encode, "m", ["a"], model, result)
        assert model.at_work.acquire(timeout=SECONDS)
        rest = [begin(pool, batches, model, *texts) for texts in (["bb", "ccc"], ["d"], ["e", "f"])]
        other = begin(pool, batches, model, "x", key="another")
        more = begin(pool, batches, model, "a", "gg")
        assert batches.waiting == 5
        model.go_on.set()
        assert first.result(SECONDS)[0] == [1]
        assert [[float(row[0]) for row in each.result(SECONDS)] for each in rest] == [
            [2, 3],
            [1],
            [1, 1],
        ]
        assert other.result(SECONDS)[0] == [1]
        assert [float(row[0]) for row in more.result(SECONDS)] == [1, 2]
    # At most four texts of one model a batch; who waits longest is in the next.
    assert model.seen == [["a"], ["bb", "ccc", "d"], ["e", "f", "a", "gg"], ["x"]]
    assert batches.batches == len(model.seen)
    assert batches.encoded == sum(map(len, model.seen))


def test_a_text_is_encoded_once(batches):
    model = Model(waits=True)
    with ThreadPoolExecutor(16) as pool:
        pool.submit(batches.encode, "m", ["first"], model, result)
        assert model.at_work.acquire(timeout=SECONDS)
        alike = [begin(pool, batches, model, "same") for _ in range(3)]
        model.go_on.set()
        assert [float(each.result(SECONDS)[0][0]) for each in alike] == [4, 4, 4]
    assert batches.encode("m", ["same", "first"], model, result)[0] == [4]
    assert model.seen == [["first"], ["same"]]
    assert batches.kept == 2
    # Another model's are others.
    batches.encode("n", ["same"], model, result)
    assert model.seen[-1] == ["same"]


def test_the_rows_that_are_kept_are_bounded(batches):
    model = Model()
    for number in range(MOST_KEPT + 10):
        batches.encode("m", [f"{number}"], model, result)
    assert len(batches._rows) == MOST_KEPT
    batches.encode("m", ["x" * 5000], model, result)
    assert ("m", "x" * 5000) not in batches._rows


def test_what_is_too_much_is_refused(batches):
    model = Model(waits=True)
    with ThreadPoolExecutor(16) as pool:
        pool.submit(batches.encode, "m", ["a"], model, result)
        assert model.at_work.acquire(timeout=SECONDS)
        waiting = [begin(pool, batches, model, f"{number}") for number in range(8)]
        with pytest.raises(OverloadedError, match="8 searches wait"):
            batches.encode("m", ["more"], model, result)
        assert batches.refused == 1
        model.go_on.set()
        for each in waiting:
            each.result(SECONDS)
    assert batches.encode("m", ["more"], model, result)[0] == [4]


def test_what_is_wrong_with_one_is_no_fault_of_the_others(batches):
    model = Model(waits=True)
    with ThreadPoolExecutor(16) as pool:
        pool.submit(batches.encode, "m", ["a"], model, result)
        assert model.at_work.acquire(timeout=SECONDS)
        good, bad = begin(pool, batches, model, "good"), begin(pool, batches, model, "wrong")
        model.go_on.set()
        assert good.result(SECONDS)[0] == [4]
        with pytest.raises(InputError, match="it is wrong"):
            bad.result(SECONDS)


def test_who_has_gone_is_not_encoded(batches):
    model = Model(waits=True)
    with ThreadPoolExecutor(16) as pool:
        pool.submit(batches.encode, "m", ["a"], model, result)
        assert model.at_work.acquire(timeout=SECONDS)
        gone = pool.submit(batches.encode, "m", ["gone"], model, Future.cancel)
        assert gone.result(SECONDS) is True
        model.go_on.set()
    assert batches.encode("m", ["last"], model, result)[0] == [4]
    assert model.seen == [["a"], ["last"]]


def test_who_waits_at_the_end_is_told():
    batches, model = QueryBatches(8, 4), Model(waits=True)
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(batches.encode, "m", ["a"], model, result)
        assert model.at_work.acquire(timeout=SECONDS)
        waits = begin(pool, batches, model, "b")
        end = pool.submit(batches.close)
        while not batches._closed:
            pass
        model.go_on.set()
        end.result(SECONDS)
        assert first.result(SECONDS)[0] == [1]
        with pytest.raises(OverloadedError, match="stopping"):
            waits.result(SECONDS)
        with pytest.raises(OverloadedError):
            batches.encode("m", ["c"], model, result)


TEXTS = ["a red apple", "how do cherries grow on trees", "", "plum", "a b c d e f g h", "banana"]


def together(encode, batches):
    def one(text):
        with encoding_by(batches, result):
            return encode([text])

    with ThreadPoolExecutor(len(TEXTS)) as pool:
        return list(pool.map(one, TEXTS))


@pytest.mark.parametrize("options", ["", ",words=no"])
def test_a_masked_model_gives_each_its_own_terms(masked_lm, batches, options):
    encoder = load_encoder(f"splade:{masked_lm}{options}")
    found = together(encoder.encode_queries, batches)
    for text, batch in zip(TEXTS, found, strict=True):
        (alone,), (row,) = encoder.encode_queries([text]), batch
        assert batch.vocabulary_size == encoder.encode_queries([text]).vocabulary_size
        np.testing.assert_array_equal(row.indices, alone.indices)
        np.testing.assert_allclose(row.values, alone.values, rtol=1e-4)
    assert batches.encoded == len(TEXTS)


def test_outside_of_batches_each_encodes_its_own():
    assert encoded_together("k", ["x"], len, sum) == 1


def test_a_dense_model_gives_each_its_own_vector(dense_model, batches):
    encoder = DenseEncoder.load(str(dense_model))
    found = together(encoder.encode_queries, batches)
    for text, vectors in zip(TEXTS, found, strict=True):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, encoder.encode_queries([text]), atol=1e-5)
