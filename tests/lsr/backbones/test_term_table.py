"""Tables of term weights in each of their formats, and what is missing from them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lsr.backbones import json_files
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.term_table import read_term_table
from lsr.encoders.catalogue import load_encoder
from lsr.errors import InputError
from lsr.vocabulary import Vocabulary

WEIGHTS = {"wing": 3.5, "the": 0.25, "of": -1.0, "layer": 0.0, "[CLS]": 9.0, "no such token": 4.0}


@pytest.fixture(scope="module")
def bert():
    return Vocabulary.bert_uncased()


@pytest.fixture
def folder(tmp_path, bert):
    (tmp_path / "config.json").write_text("{}")
    bert.tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def table(folder, missing="auto"):
    return read_term_table(Checkpoint.resolve(str(folder)), missing)


def plain(bert, weights, missing):
    expected = np.full(bert.size, missing, dtype=np.float32)
    for token, weight in weights.items():
        if token in bert.tokenizer.get_vocab():
            expected[bert.term(token)] = max(weight, 0)
    for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        expected[bert.term(token)] = 0
    return expected


def static(folder, weights, name="query_0_SparseStaticEmbedding", key="weight"):
    module = folder / name
    module.mkdir()
    save_file({key: np.asarray(weights, dtype=np.float32)}, module / "model.safetensors")
    return module


def lines(weights):
    return "".join(f"{token}\t{weight}\n" for token, weight in weights.items())


@pytest.mark.parametrize(("missing", "value"), [("auto", 0), ("0", 0), ("1.0", 1), ("0.5", 0.5)])
def test_idf_json_leaves_out_what_weighs_nothing(folder, bert, missing, value):
    (folder / "idf.json").write_text(json.dumps(WEIGHTS))
    np.testing.assert_array_equal(table(folder, missing), plain(bert, WEIGHTS, value))


@pytest.mark.parametrize(("missing", "value"), [("auto", 1), ("0", 0), ("1.0", 1)])
def test_query_token_weights_leaves_out_what_weighs_one(folder, bert, missing, value):
    (folder / "query_token_weights.txt").write_text(lines(WEIGHTS) + "\n  \r\n")
    np.testing.assert_array_equal(table(folder, missing), plain(bert, WEIGHTS, value))


def test_a_mark_at_the_beginning_is_no_part_of_the_first_token(folder, bert):
    text = lines(WEIGHTS)
    (folder / "query_token_weights.txt").write_text(text, encoding="utf-8-sig")
    np.testing.assert_array_equal(table(folder), plain(bert, WEIGHTS, 1))


@pytest.mark.parametrize("name", ["query_0_SparseStaticEmbedding", "query_0_IDF"])
@settings(max_examples=10)
@given(length=st.sampled_from([0, 1, 5000, 30521, 30522, 30600]))
def test_a_routers_table_may_end_before_the_vocabulary_does(tmp_path_factory, bert, name, length):
    folder = tmp_path_factory.mktemp("static")
    (folder / "config.json").write_text("{}")
    bert.tokenizer.save(str(folder / "tokenizer.json"))
    weights = np.linspace(-1, 3, length, dtype=np.float32)
    weights[bert.size :] = 0
    static(folder, weights, name)
    expected = np.zeros(bert.size, dtype=np.float32)
    expected[:length] = np.maximum(weights[: bert.size], 0)
    expected[list(bert.special)] = 0
    np.testing.assert_array_equal(table(folder), expected)


def test_a_routers_module_may_name_a_json_file(folder, bert):
    (folder / "query_0_SparseStaticEmbedding").mkdir()
    (folder / "query_0_SparseStaticEmbedding/config.json").write_text('{"path": "weights.json"}')
    assert table(folder) is None
    (folder / "weights.json").write_text(json.dumps(WEIGHTS))
    np.testing.assert_array_equal(table(folder), plain(bert, WEIGHTS, 0))


def test_a_routers_module_names_no_file_outside(folder):
    (folder / "query_0_SparseStaticEmbedding").mkdir()
    (folder / "query_0_SparseStaticEmbedding/config.json").write_text(
        '{"path": "../../weights.json"}'
    )
    (folder.parent / "weights.json").write_text("{}")
    assert table(folder) is None


def test_the_first_of_several_tables_counts(folder, bert):
    assert table(folder) is None
    (folder / "query_token_weights.txt").write_text("wing\t1\n")
    assert table(folder)[bert.term("wing")] == 1
    static(folder, np.full(bert.size, 2.0))
    assert table(folder)[bert.term("wing")] == 2
    (folder / "idf.json").write_text('{"wing": 3}')
    assert table(folder)[bert.term("wing")] == 3


@pytest.mark.parametrize(
    "content", ["wing\tx\n", "wing 2\n", "wing\t\n", "wing\tnan\n", "wing\tinf"]
)
def test_malformed_lines_are_refused(folder, content):
    (folder / "query_token_weights.txt").write_text("the\t1\n" + content)
    with pytest.raises(InputError, match=r"query_token_weights\.txt"):
        table(folder)


def test_text_that_is_no_text_is_refused(folder):
    (folder / "query_token_weights.txt").write_bytes(b"wing\t1\n\xff\xfe\t2\n")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        table(folder)


@pytest.mark.parametrize(
    ("weights", "key"),
    [
        (np.ones((3, 4)), "weight"),
        (np.ones(30523), "weight"),
        ([1.0, np.nan], "weight"),
        ([1.0, np.inf], "weight"),
        ([1.0], "other"),
    ],
)
def test_malformed_tensors_are_refused(folder, weights, key):
    static(folder, weights, key=key)
    with pytest.raises(InputError, match=r"model\.safetensors holds"):
        table(folder)


def test_damaged_tensors_are_refused(folder):
    (static(folder, [1.0]) / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{]")
    with pytest.raises(InputError, match="holds no tensor of term weights"):
        table(folder)


def test_huge_tables_are_not_read(folder, monkeypatch):
    monkeypatch.setattr("lsr.backbones.term_table.LARGEST_JSON", 5)
    (folder / "query_token_weights.txt").write_text("wing\t1\n")
    with pytest.raises(InputError, match="is larger than"):
        table(folder)
    monkeypatch.setattr(json_files, "LARGEST_JSON", 5)
    (folder / "idf.json").write_text('{"wing": 1}')
    with pytest.raises(InputError, match="is larger than"):
        table(folder)


def test_missing_terms_of_a_learned_table_weigh_what_is_asked(tmp_path, masked_lm, bert):
    import shutil

    folder = shutil.copytree(masked_lm, tmp_path / "model")
    (folder / "idf.json").write_text('{"wing": 3.5}')
    for option, weight in (("", None), (",missing=1.0", 1.0)):
        encoder = load_encoder(f"inference-free:{folder}{option}")
        (row,) = encoder.encode_queries(["wing flow"])
        found = dict(zip(row.indices.tolist(), row.values.tolist(), strict=True))
        assert found.get(bert.term("flow")) == weight
        assert found[bert.term("wing")] == 3.5
