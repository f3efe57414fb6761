"""Packed matrices against a loop over their numbers, and models of them in torch and the core."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file, save_file

from lsr.backbones.packed_weights import has_packed, packed, unpacked
from lsr.encoders.dense import DenseEncoder

MATRICES = arrays(
    np.float32,
    st.tuples(st.integers(0, 5), st.integers(0, 4).map(lambda half: 2 * half)),
    elements=st.floats(-1e3, 1e3, width=32),
)


def numbers(stored, form, row, columns):
    """The whole numbers of a row, one by one."""
    if form == "packed8":
        return [int(one) for one in stored[row]]
    halves = []
    for byte in stored[row].tolist():
        halves += [byte % 16 - 8, byte // 16 - 8]
    assert len(halves) == columns
    return halves


@settings(max_examples=100)
@given(MATRICES, st.sampled_from(["packed4", "packed8"]))
def test_each_number_is_the_nearest_that_its_row_can_have(matrix, form):
    made = packed("m", matrix, form)
    assert set(made) == {f"m.{form}", "m.scales"}
    found = unpacked(made | {"other": matrix})
    assert set(found) == {"m", "other"}
    assert found["m"].dtype == np.float32
    assert found["m"].shape == matrix.shape
    least, most = {"packed4": (-8, 7), "packed8": (-128, 127)}[form]
    for row in range(len(matrix)):
        scale = float(made["m.scales"][row])
        for column, number in enumerate(numbers(made[f"m.{form}"], form, row, matrix.shape[1])):
            assert least <= number <= most
            assert found["m"][row, column] == pytest.approx(number * scale, rel=1e-6)
            value = float(matrix[row, column])
            best = min(abs(value - other * scale) for other in range(least, most + 1))
            assert abs(value - number * scale) <= best + 1e-5 * abs(value) + 1e-9


def test_four_bits_are_nearer_than_with_the_scale_of_the_largest():
    matrix = np.random.default_rng(1).normal(size=(50, 384)).astype(np.float32)
    found = unpacked(packed("m", matrix, "packed4"))["m"]
    full = np.abs(matrix).max(axis=1, keepdims=True) / 7
    plain = np.rint(matrix / full) * full
    off, plainly = (np.linalg.norm(matrix - each, axis=1) for each in (found, plain))
    assert (off <= plainly * 1.001).all()
    assert off.mean() < 0.9 * plainly.mean()
    eight = unpacked(packed("m", matrix, "packed8"))["m"]
    assert np.linalg.norm(matrix - eight) < 0.01 * np.linalg.norm(matrix)


@pytest.mark.parametrize(
    ("matrix", "form"), [([[1, np.nan]], "packed8"), ([[np.inf]], "packed8"), ([[1]], "packed4")]
)
def test_what_can_not_be_packed_is_refused(matrix, form):
    with pytest.raises(ValueError, match="m has values that are not finite, or an odd number"):
        packed("m", np.array(matrix, dtype=np.float32), form)


@pytest.mark.parametrize("scales", [None, np.ones(3, np.float16), np.ones((2, 1), np.float16)])
def test_scales_that_do_not_fit_are_refused(scales):
    made = {"m.packed8": np.ones((2, 4), np.int8)} | (
        {} if scales is None else {"m.scales": scales}
    )
    with pytest.raises(ValueError, match=r"m\.packed8 has no scale for each of its rows"):
        unpacked(made)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_packed_model_is_that_of_its_unpacked_weights(dense_model, tmp_path, pooling):
    """In the native core, which pools by the mean, and in torch."""
    shut, wide = (shutil.copytree(dense_model, tmp_path / name) for name in ("shut", "wide"))
    arrays = load_file(shut / "model.safetensors")
    stored = {}
    for name, array in arrays.items():
        small = array.ndim == 2 and array.dtype.kind == "f"
        form = "packed4" if "word_embeddings" in name else "packed8"
        stored |= packed(name, array.astype(np.float32), form) if small else {name: array}
    assert has_packed(stored)
    assert not has_packed(arrays)
    save_file(stored, shut / "model.safetensors", metadata={"format": "pt"})
    save_file(unpacked(stored), wide / "model.safetensors", metadata={"format": "pt"})
    texts = ["a wing", "", "flow over a flat plate " * 9]
    found, expected = (
        DenseEncoder.load(f"{folder},pooling={pooling}").encode_documents(texts)
        for folder in (shut, wide)
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert torch.from_numpy(found).norm(dim=1).tolist() == pytest.approx([1, 0, 1], abs=1e-5)
