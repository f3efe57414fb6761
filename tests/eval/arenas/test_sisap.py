"""SISAP's sparse task: files as its organisers write them, and answers as they read them."""

import json

import numpy as np
import pytest

from eval.arenas.embeddings import rank_vectors
from eval.arenas.sisap import check_depth, read_sisap, write_sisap
from lsr.errors import InputError, NotFoundError, UsageError

h5py = pytest.importorskip("h5py", reason="needs pip install '.[sisap]'")
N, Q, TERMS, K = 60, 9, 25, 5


def write_rows(group, rows):
    group["indptr"] = np.cumsum([0, *(rows > 0).sum(axis=1)])
    group["indices"] = np.nonzero(rows)[1].astype(np.int64)
    group["data"] = rows[rows > 0].astype(np.float32)
    group.attrs["shape"] = np.array(rows.shape)


@pytest.fixture
def task(tmp_path):
    """A task's file, its matrices, and its inner products."""
    random = np.random.default_rng(7)
    documents, queries = (
        np.float16(random.random((n, TERMS)) * (random.random((n, TERMS)) < 0.3)).astype(float)
        for n in (N, Q)
    )
    queries[3] = 0
    products = queries @ documents.T
    file = tmp_path / "fiqa-dev.h5"
    with h5py.File(file, "w") as h5:
        write_rows(h5.create_group("train"), documents)
        write_rows(h5.create_group("otest/queries"), queries)
        h5["otest/knns"] = np.argsort(-products, kind="stable")[:, :20].astype(np.int32) + 1
        h5["otest/dists"] = -np.sort(-products)[:, :20].astype(np.float32)
    return file, products


def test_answers_are_the_true_ones(task, tmp_path):
    file, products = task
    read = read_sisap(file)
    assert (len(read.documents.ids), len(read.queries.ids), read.k) == (N, Q, 30)
    found = rank_vectors(read.documents, read.queries, K)
    knns = write_sisap(tmp_path / "out.h5", found, K, {"algo": "lsr", "params": "native"})
    with h5py.File(tmp_path / "out.h5") as out:
        written, dists = out["knns"][:], out["dists"][:]
        attributes = dict(out.attrs)
    assert (written.dtype, dists.dtype, written.shape) == (np.int32, np.float32, (Q, K))
    np.testing.assert_array_equal(written, knns)
    np.testing.assert_allclose(dists, -np.sort(-products)[:, :K], rtol=1e-3)
    np.testing.assert_allclose(
        np.take_along_axis(products, written.astype(int) - 1, axis=1), dists, rtol=1e-3
    )
    assert all(len(set(row)) == K for row in written.tolist())
    assert read.recall(knns) == 1.0
    assert attributes["algo"] == "lsr"
    assert attributes["task"] == "task3"
    assert attributes["buildtime"] > 0
    assert attributes["querytime"] > 0


def test_a_folder_with_its_configuration_is_read_and_truths_counted_from_0_too(task, tmp_path):
    file, _ = task
    config = {"filename": file.name, "data": "train", "queries": "otest/queries"}
    (tmp_path / "config.json").write_text(json.dumps({**config, "gt_I": "otest/zero", "k": K}))
    with h5py.File(file, "a") as h5:
        h5["otest/zero"] = h5["otest/knns"][:] - 1
    for place in (tmp_path, file):
        read = read_sisap(place)
        assert read.k == K
        with h5py.File(file) as h5:
            np.testing.assert_array_equal(read.truth, h5["otest/knns"])
    assert check_depth(read, None) == K
    for k in (0, N + 1):
        with pytest.raises(UsageError, match=f"k is {k}; allowed is 1 to 60"):
            check_depth(read, k)


def test_without_truths_there_is_no_recall(task):
    file, _ = task
    with h5py.File(file, "a") as h5:
        del h5["otest/knns"]
    assert read_sisap(file).recall(np.zeros((Q, K), np.int32)) is None


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda h5: h5.__delitem__("train"), "no 'train'"),
        (lambda h5: h5.__delitem__("otest/queries/indptr"), "no 'indptr'"),
        (lambda h5: h5["train"].attrs.__delitem__("shape"), "no attribute shape"),
        (lambda h5: h5["train/indices"].__setitem__(0, 999), "terms from 0 to 999"),
        (lambda h5: h5["train/data"].__setitem__(0, -1), "negative"),
        (lambda h5: (h5.__delitem__("otest/knns"), h5.__setitem__("otest/knns", [1.5])), "shape"),
    ],
)
def test_damaged_files_are_refused(task, damage, what):
    file, _ = task
    with h5py.File(file, "a") as h5:
        damage(h5)
    with pytest.raises(InputError, match=what):
        read_sisap(file)


def test_what_is_no_file_of_the_task_is_said(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"no hdf5")
    with pytest.raises(InputError, match="no HDF5 file"):
        read_sisap(tmp_path / "x.h5")
    with pytest.raises(NotFoundError, match="there is no file"):
        read_sisap(tmp_path / "y.h5")
    with pytest.raises(NotFoundError, match=r"no config\.json"):
        read_sisap(tmp_path)
    for text, what in (("[]", "no JSON object"), ('{"filename": "../x.h5"}', "filename")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match=what):
            read_sisap(tmp_path)
