"""The encode bench runs, and the vectors that it compares are alike."""

import json
from dataclasses import replace
from math import log2

import encode
import numpy as np
import pytest
from child import Child
from encode_bench.difference import Difference
from encode_bench.effectiveness import Collection, cache_file, effectiveness, load, ndcg, save
from encode_bench.encoders import ENCODERS, NEEDS
from encode_bench.parts import Anatomy, Parts, Peaks, highest, in_units
from encode_bench.parts import rows as part_rows
from encode_bench.subjects import Place, Subject, search
from encode_bench.texts import cut, load_texts, scifact
from hypothesis import given
from hypothesis import strategies as st
from packages import installed, why_missing

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import load_encoder
from lsr.errors import UsageError
from lsr.sparse import SparseBatch, SparseVector

pytestmark = pytest.mark.long

KEYS = {
    "encoder",
    "engine",
    "settings",
    "texts",
    "count",
    "docs_per_s",
    "spread",
    "tokens_per_s",
    "peak_rss_mb",
    "growth_mb",
    "speedup",
    "memory_ratio",
    "max_abs_diff",
    "ndcg_at_10",
}
PEER = "sentence-transformers"
WORDS = ["wing", "flow", "shock", "layer", "plate", "heat", "jet", "wave", "body", "nose"]
TERMS = 8
matrices = st.lists(
    st.lists(st.sampled_from([0.0, 0.0, 1e-7, 0.5, 2.0]), min_size=TERMS, max_size=TERMS),
    min_size=3,
    max_size=3,
)


def batch(dense):
    rows = ({term: w for term, w in enumerate(row) if w} for row in dense)
    return SparseBatch.from_rows((SparseVector.from_mapping(row) for row in rows), TERMS)


def needs_peer():
    if sentence := why_missing(PEER, NEEDS[PEER]):
        pytest.skip(sentence)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eight made documents under the names of the two datasets."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(1)
    for name in ("scifact", "nq-oracle"):
        (folder / name / "qrels").mkdir(parents=True)
        with (folder / name / "corpus.jsonl").open("w") as stream:
            for number in range(8):
                text = " ".join(random.choice(WORDS, 5 + 9 * number))
                document = {"_id": f"d{number}", "title": WORDS[number], "text": text}
                stream.write(json.dumps(document) + "\n")
        queries = [{"_id": f"q{number}", "text": f"a {WORDS[number]}"} for number in range(4)]
        (folder / name / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
        judged = "".join(f"q{number}\td{number}\t1\n" for number in range(4))
        header = "query-id\tcorpus-id\tscore\n"
        (folder / name / "qrels/test.tsv").write_text(header + judged)
    return folder


@pytest.fixture(scope="module")
def place(masked_lm):
    return Place(Checkpoint.resolve(str(masked_lm)), max_length=64, threads=1)


@pytest.fixture(scope="module")
def report(data, masked_lm, tmp_path_factory):
    needs_peer()
    file = tmp_path_factory.mktemp("report") / "encode.json"
    arguments = {
        "--data": data,
        "--model": masked_lm,
        "--engines": f"lsr,{PEER}",
        "--kinds": "abstracts",
        "--max-length": 64,
        "--threads": 1,
        "--rounds": 2,
        "--json": file,
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    assert encode.main([*words, "--no-ndcg"]) == 0
    return json.loads(file.read_text())


@pytest.mark.slow
def test_ours_and_the_peer_give_the_same_vectors(report):
    ours, peer = report["rows"]
    assert [ours["engine"], peer["engine"]] == ["lsr", PEER]
    assert 0 <= ours["max_abs_diff"] < 1e-4
    assert ours["largest_alone"] < 1e-4
    assert peer["max_abs_diff"] is None
    assert ours["ndcg_at_10"] is None


@pytest.mark.slow
def test_rows_say_how_fast_and_how_large(report):
    for row in report["rows"]:
        assert row.keys() >= KEYS
        assert (row["texts"], row["count"]) == ("abstracts", 8)
        assert row["docs_per_s"] > 0
        assert row["tokens_per_s"] > row["docs_per_s"]
        assert 0 < row["loaded_rss_mb"] <= row["peak_rss_mb"] + 1
    ours, peer = report["rows"]
    assert ours["speedup"] == pytest.approx(ours["docs_per_s"] / peer["docs_per_s"], rel=0.02)
    assert (peer["speedup"], peer["memory_ratio"]) == (1, 1)


@pytest.mark.slow
def test_the_parts_stand_beside_the_peaks(report):
    assert [row["part"] for row in report["parts"]] == ["tokenise", "body", "projection"]
    assert sum(row["share"] for row in report["parts"]) == pytest.approx(1, abs=0.01)
    assert report["parts"][2]["gflops"] > 0
    assert report["peaks"]["float32_gflops"] > 0


def test_whatever_the_settings_the_peer_gives_our_vectors(data, place):
    needs_peer()
    kind = ENCODERS[PEER].load()
    encoder = kind(place.checkpoint, place.max_length)
    texts = load_texts(data, "abstracts", 8, place.checkpoint, place.max_length)
    ours = load_encoder(f"{place.checkpoint.name},max_length=64").encode_documents(texts.texts)
    for name, values in kind.grid.items():
        for value in values:
            settings = {**kind.defaults, name: value}
            found = encoder.batch(encoder.encode(texts.texts, False, **settings))
            assert Difference.between(ours, found).largest < 1e-4


@given(matrices, matrices)
def test_differences_are_those_of_dense_arrays(here, there):
    ours, theirs = np.array(here), np.array(there)
    found = Difference.between(batch(here), batch(there))
    assert found.largest == pytest.approx(np.abs(ours - theirs).max(), abs=1e-6)
    only_here, only_there = (ours > 0) & (theirs == 0), (theirs > 0) & (ours == 0)
    assert (found.only_here, found.only_there) == (only_here.sum(), only_there.sum())
    alone = [*ours[only_here], *theirs[only_there], 0.0]
    assert found.largest_alone == pytest.approx(max(alone), rel=1e-6)


def test_vectors_of_other_texts_are_not_compared():
    with pytest.raises(ValueError, match="1 vectors are compared with 2"):
        Difference.between(batch([[1.0] * TERMS]), batch([[1.0] * TERMS] * 2))


def test_a_search_keeps_the_first_value_that_is_among_the_fastest():
    grid = {"batch": (4, 8, 16), "chunk": (16, None)}
    seconds = {(4, None): 1.2, (8, None): 1.02, (16, None): 1.0, (8, 16): 2.0}
    tried = []

    def time(settings):
        tried.append((settings["batch"], settings["chunk"]))
        return seconds[tried[-1]]

    best = search({"batch": 16, "chunk": None}, grid, time)
    assert best == {"batch": 8, "chunk": None}
    assert set(tried) == set(seconds)


def test_passages_have_the_words_asked_for_and_lose_the_rest():
    assert list(cut("a b  c\nd e f g", 3)) == ["a b c", "d e f"]
    assert list(cut("a b", 3)) == []


def test_texts_are_the_first_of_their_kind(data, place):
    def texts(kind, count):
        return load_texts(data, kind, count, place.checkpoint, place.max_length)

    abstracts = texts("abstracts", 100)
    assert len(abstracts.texts) == 8
    assert all(text.startswith(word) for text, word in zip(abstracts.texts, WORDS, strict=False))
    assert [len(text.split()) for text in texts("passages", 100).texts] == [60, 60]
    queries = texts("queries", 3)
    assert queries.texts == ["a wing", "a flow", "a shock"]
    assert queries.are_queries
    # Each has two words, which are a token each, and two special tokens.
    assert queries.tokens == 3 * 4
    long = [min(64, 2 + len(text.split())) for text in abstracts.texts]
    assert abstracts.tokens >= sum(long)


def test_ndcg_ranks_by_inner_product_and_ties_by_place(data):
    collection = Collection.read(scifact(data))
    documents = np.zeros((8, TERMS))
    # d0 and d1 tie for q1, d2 is the second of q2, and q3 finds nothing.
    documents[0, :2], documents[1, 1], documents[2, 2], documents[5, 2] = 1, 1, 1, 2
    vectors = {"documents": batch(documents), "queries": batch(np.eye(TERMS)[:4])}
    expected = (1 + 2 / log2(3)) / 4
    assert ndcg(collection, vectors) == pytest.approx(expected)


def test_kept_vectors_come_back(tmp_path):
    vectors = {"documents": batch(np.eye(TERMS)), "queries": batch(np.zeros((2, TERMS)))}
    save(tmp_path / "new/vectors.safetensors", vectors)
    found = load(tmp_path / "new/vectors.safetensors")
    assert found.keys() == vectors.keys()
    for side, kept in found.items():
        assert kept.vocabulary_size == TERMS
        for array in ("indptr", "indices", "values"):
            np.testing.assert_array_equal(getattr(kept, array), getattr(vectors[side], array))


def test_vectors_are_kept_for_one_model_length_and_text(data, place):
    needs_peer()
    collection = Collection.read(scifact(data))
    file = cache_file(PEER, collection, place)
    assert cache_file(f"{PEER}-tuned", collection, replace(place, threads=2)) == file
    assert cache_file(PEER, collection, replace(place, max_length=63)) != file
    other = replace(collection, documents=[*collection.documents[1:], "another"])
    assert cache_file(PEER, other, place) != file


def test_ours_is_encoded_afresh_and_a_peers_kept_vectors_are_read(
    data, place, tmp_path, monkeypatch
):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path))
    collection = Collection.read(scifact(data))
    encoder = load_encoder(f"{place.checkpoint.name},max_length=64")
    vectors = {side: encoder.encode_documents(texts) for side, texts in collection.sides.items()}
    expected = ndcg(collection, vectors)
    assert effectiveness("lsr", {}, collection, place, tmp_path) == pytest.approx(expected)
    assert not list(tmp_path.rglob("*.safetensors"))
    needs_peer()
    changed = vectors | {"queries": vectors["documents"]}
    save(cache_file(PEER, collection, place), changed)
    assert ndcg(collection, changed) != pytest.approx(expected)
    found = effectiveness(PEER, {}, collection, place, tmp_path)
    assert found == pytest.approx(ndcg(collection, changed))


class Here(Place):
    """For what runs in the process of the tests, which keeps its cores."""

    def settle(self):
        pass


def test_the_projection_is_credited_with_all_its_operations(place):
    anatomy = Anatomy(Here(place.checkpoint, place.max_length, place.threads))
    anatomy.hold(["a wing", "", "shock wave"])
    parts, peaks = anatomy.turn()
    assert parts.operations == 2 * (4 + 4) * 30522 * 16
    assert min(parts.tokenise, parts.body, parts.projection, peaks.float32) > 0


def test_part_rows_are_medians_against_the_highest_peak():
    turns = [
        (Parts(0.1, 0.3, seconds, 8e9), Peaks(peak, None))
        for seconds, peak in [(0.5, 10e9), (0.6, 20e9), (0.7, 16e9)]
    ]
    tokenise, body, projection = part_rows("made", 10, turns)
    assert (tokenise["ms_per_doc"], body["ms_per_doc"], projection["ms_per_doc"]) == (10, 30, 60)
    assert (tokenise["share"], body["gflops"]) == (0.1, None)
    assert (projection["gflops"], projection["of_float32_peak"]) == (13.3, 0.667)
    assert projection["of_int8_peak"] is None
    best = highest([Peaks(1e9, 4e9), Peaks(2e9, None)])
    assert in_units(best) == {"float32_gflops": 2.0, "int8_gops": 4.0}


def test_a_child_that_fails_tells_why(place, tmp_path):
    child = Child("broken", tmp_path / "log.txt", {}, Subject, place, "nothing")
    try:
        with pytest.raises(RuntimeError, match=r"(?s)broken died.*KeyError: 'nothing'"):
            child.ask("turn", {})
    finally:
        child.close()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--engines", "wand"], "there is no engine 'wand'; allowed are lsr, sentence"),
        (["--threads", "10000"], "--threads is 10000; this process may use 1 to "),
        (["--threads", "0"], "--threads is 0"),
        (["--texts", "0"], "--texts is 0; give 1 or more"),
        (["--rounds", "0"], "--rounds is 0; give 1 or more"),
        (["--max-length", "2"], "max_length is 2"),
        (["--kinds", "haiku"], "there are no texts 'haiku'; allowed are abstracts"),
        (["--model", "./missing"], "does not exist"),
        (["--data", "missing"], "there is no folder"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(arguments, expected, data, masked_lm, capsys):
    good = ["--engines", "lsr", "--data", str(data), "--model", str(masked_lm), "--threads", "1"]
    assert encode.main([*good, *arguments]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


def test_what_is_not_installed_is_left_out_with_a_sentence(capsys):
    assert installed(["a", "b"], {"a": ("no_such_package",), "b": ("json",)}) == ["b"]
    assert "a is left out because the package 'no_such_package'" in capsys.readouterr().err
    with pytest.raises(UsageError, match="allowed are a"):
        installed(["c"], {"a": ()})
