"""Encoding on a Ray cluster: the vectors of one run, whatever happens to the machines."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lsr.corpus.chunks import distinct_chunks
from lsr.corpus.shard import Shard
from lsr.encoders.catalogue import load_encoder
from lsr.encoding.chunk_tables import chunk_table, packed, texts_digest, unpacked
from lsr.encoding.document_encoders import Encoded
from lsr.encoding.ray_address import RayAddress
from lsr.encoding.ray_cluster import (
    RayCluster,
    Rest,
    _checked,
    _left,
    _read,
)
from lsr.errors import LsrError, MissingDependencyError, UnavailableError, UsageError
from tests.lsr.encoding.ray_run import CHUNK_SIZE, corpus

pytest.importorskip("ray")
ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_machine_that_is_killed_costs_what_it_had_and_changes_no_bit(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.lsr.encoding.ray_run", tmp_path],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout.splitlines()[-1])
    one, cluster = (tmp_path / f"{name}.safetensors" for name in ("one", "cluster"))
    assert cluster.read_bytes() == one.read_bytes()
    chunks = list(distinct_chunks(corpus(), lambda told: None, CHUNK_SIZE))
    begun = Counter(number for number, _ in told["begun"])
    assert sorted(begun) == list(range(sum(bool(chunk.items) for chunk in chunks)))
    # The lost machine worked; and what was begun again is what it had begun, and not delivered.
    first = dict(reversed(told["begun"]))
    repeated = [number for number, times in begun.items() if times > 1]
    assert told["lost"] in first.values()
    assert all(first[number] == told["lost"] for number in repeated)
    assert all(number >= told["delivered"] for number in repeated)
    assert told["repeated"] == len(told["begun"]) - len(begun)


@pytest.mark.parametrize("text", ["local", "ray://", "ray://host", "ray://host:", "ray://a b:1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageError, match="allowed are ray://local"):
        RayAddress.parse(text)


@pytest.mark.parametrize("text", ["ray://local", "ray://auto", "ray://h-1.example:6379"])
def test_addresses(text):
    assert RayAddress.parse(text).text == text.removeprefix("ray://")


@pytest.mark.parametrize("port", [1, 99999])
def test_a_cluster_that_is_not_there_is_named(port):
    with pytest.raises(UnavailableError, match=f"no Ray cluster can be used at .*:{port} "):
        RayAddress.parse(f"ray://127.0.0.1:{port}").check()


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"ray"):
        RayCluster(RayAddress.parse("ray://local"), list)


@pytest.mark.parametrize("shard", [Shard(), Shard(2, 3)])
@pytest.mark.parametrize("done", [0, 3])
def test_the_cluster_reads_what_the_driver_waits_for(shard, done):
    """The same chunks, though each goes through the corpus by itself."""
    chunks = list(distinct_chunks(corpus(), lambda told: None, CHUNK_SIZE))
    expected = [
        [document.contents for document in chunk.documents]
        for number, chunk in enumerate(chunks)
        if number >= done and shard.has(number) and chunk.items
    ]
    rest = Rest(shard, done * CHUNK_SIZE, CHUNK_SIZE)
    assert list(_left(corpus(), rest)) == expected


@pytest.mark.parametrize("texts", [["apple pie", "", "w1 w2 w1"], [""], []])
def test_vectors_come_back_as_they_were(texts):
    encoder = load_encoder("bm25")
    batch = encoder.encode_documents(texts)
    data = json.dumps(texts).encode()
    encoded, digest = unpacked(packed(Encoded({"vectors": batch}, 7), data))
    found = encoded.vectors["vectors"]
    assert (encoded.tokens, digest) == (7, texts_digest(data))
    assert (found.vocabulary_size, found.words) == (batch.vocabulary_size, batch.words)
    for name in ("indptr", "indices", "values"):
        expected = getattr(batch, name)
        np.testing.assert_array_equal(getattr(found, name), expected)
        assert getattr(found, name).dtype == expected.dtype


def test_what_fails_on_the_cluster_is_one_sentence():
    def broken():
        raise OSError("no such disk")
        yield

    (table,) = _read(broken, Rest(), None)
    with pytest.raises(LsrError, match=r"can't be read on the cluster \(OSError: no such disk\)"):
        _checked(table, ["apple"])


@pytest.mark.parametrize("texts", [["pear"], None])
def test_a_corpus_that_changes_meanwhile_is_noticed(texts):
    """What the cluster encoded is of other texts, or there is nothing more."""
    batch = load_encoder("bm25").encode_documents(["pear"])
    data = packed(Encoded({"vectors": batch}, 1), json.dumps(texts).encode())
    table = None if texts is None else chunk_table(0, data)
    with pytest.raises(UsageError, match="the corpus changed while it was read"):
        _checked(table, ["apple"])
