"""Teachers score as loops over single texts do, and take from the cache what is there."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lsr.backbones.pooled import PooledTransformer
from lsr.encoders.bm25 import Bm25Encoder
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.term_counts import collection_statistics
from lsr.errors import CorruptionError, InputError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.train import vector_cache
from lsr.train.pairs import TrainingCorpus
from lsr.train.teachers import DenseTeacher, Ensemble, SparseTeacher, load_teacher, min_max
from tests.strategies import VOCABULARY, sparse_vectors

CORPUS = TrainingCorpus(
    ["apple pie", "who sells cherries?", "中文 banana", "the the"],
    ["Apple pie is a pie of apples.", "Cherry", "bananas and the apple", "nothing " * 90, "é"],
    np.array([0, 1, 2, 3]),
)
QUERIES = np.array([3, 0, 0, 2])
CANDIDATES = np.array([[0, 1, 2], [4, -1, 0], [2, 2, 3], [-1, -1, -1]])


def dot(left: SparseVector, right: SparseVector) -> float:
    weights = dict(zip(right.indices.tolist(), right.values.tolist(), strict=True))
    pairs = zip(left.indices.tolist(), left.values.tolist(), strict=True)
    return sum(weight * weights.get(term, 0.0) for term, weight in pairs)


def by_hand(score, queries, candidates):
    return [
        [score(int(q), int(d)) if d >= 0 else 0.0 for d in row]
        for q, row in zip(queries, candidates, strict=True)
    ]


def stopped(monkeypatch, kind, name):
    """Makes a method of an encoder fail."""

    def fail(*_, **__):
        raise AssertionError("what is in the cache was computed again")

    monkeypatch.setattr(kind, name, fail)


@pytest.mark.parametrize("name", ["bm25", "bm25,k1=1.5"])
def test_bm25_scores_by_the_statistics_of_the_corpus(tmp_path, name, monkeypatch):
    encoder = load_encoder(name)
    stored = encoder.encode_documents(CORPUS.documents)
    statistics = encoder.statistics(stored)
    documents = encoder.impacts(stored, statistics)
    queries = encoder.encode_queries(CORPUS.queries, statistics)
    expected = by_hand(lambda q, d: dot(queries[q], documents[d]), QUERIES, CANDIDATES)
    assert np.count_nonzero(expected) > 2
    found = load_teacher(name, CORPUS, tmp_path).scores(QUERIES, CANDIDATES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    stopped(monkeypatch, Bm25Encoder, "encode_queries")
    stopped(monkeypatch, Bm25Encoder, "encode_documents")
    again = load_teacher(name, CORPUS, tmp_path).scores(QUERIES, CANDIDATES)
    np.testing.assert_array_equal(found, again)


def test_a_sparse_model(tmp_path, masked_lm):
    teacher = load_teacher(f"splade:{masked_lm}", CORPUS, tmp_path)
    encoder = load_encoder(f"splade:{masked_lm}")
    documents = encoder.encode_documents(CORPUS.documents)
    queries = encoder.encode_queries(CORPUS.queries)
    expected = by_hand(lambda q, d: dot(queries[q], documents[d]), QUERIES, CANDIDATES)
    np.testing.assert_allclose(teacher.scores(QUERIES, CANDIDATES), expected, rtol=1e-4)


def test_an_inference_free_model_with_the_corpus_idf(tmp_path, masked_lm):
    name = f"inference-free:{masked_lm},idf=collection"
    encoder = load_encoder(name)
    frequency = (
        load_encoder("bm25,analyzer=wordpiece")
        .encode_documents(CORPUS.documents)
        .document_frequency()
    )
    n = len(CORPUS.documents)
    idf = np.log(1 + (n - frequency + 0.5) / (frequency + 0.5))
    documents = encoder.encode_documents(CORPUS.documents)

    def score(query, document):
        terms = set(encoder.vocabulary.tokenize([CORPUS.queries[query]])[0])
        return dot(
            SparseVector.from_mapping({term: idf[term] for term in terms}), documents[document]
        )

    expected = by_hand(score, QUERIES, CANDIDATES)
    found = load_teacher(name, CORPUS, tmp_path).scores(QUERIES, CANDIDATES)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_dense_model_is_computed_once(tmp_path, dense_model, monkeypatch):
    name = f"dense:{dense_model}"
    found = load_teacher(name, CORPUS, tmp_path).scores(QUERIES, CANDIDATES)
    encoder = DenseEncoder.load(str(dense_model))
    queries, documents = (
        encoder.encode_queries(CORPUS.queries),
        encoder.encode_documents(CORPUS.documents),
    )
    expected = by_hand(lambda q, d: float(queries[q] @ documents[d]), QUERIES, CANDIDATES)
    # float16 keeps 11 bits of each of 16 numbers, the vectors have length 1.
    np.testing.assert_allclose(found, expected, atol=2**-10)
    stopped(monkeypatch, PooledTransformer, "encode")
    again = load_teacher(name, CORPUS, tmp_path).scores(QUERIES, CANDIDATES)
    np.testing.assert_array_equal(found, again)


def test_the_cache_tells_corpora_and_models_apart(tmp_path):
    other = TrainingCorpus(CORPUS.queries[:2], CORPUS.documents[:2], np.array([0, 1]))
    expected = load_teacher("bm25", other, tmp_path / "fresh").scores(
        np.array([0, 1]), np.array([[0, 1]] * 2)
    )
    load_teacher("bm25", CORPUS, tmp_path)
    load_teacher("bm25,k1=2", other, tmp_path)
    found = load_teacher("bm25", other, tmp_path).scores(np.array([0, 1]), np.array([[0, 1]] * 2))
    np.testing.assert_array_equal(found, expected)


class Killed(Exception):
    pass


def killed_at(call, progress=None):
    """A progress callback that raises at its n-th call."""
    calls = []

    def on_progress(*state):
        calls.append(state)
        if len(calls) == call:
            raise Killed

    return on_progress


@pytest.mark.parametrize("kind", ["dense", "splade"])
@pytest.mark.parametrize("call", [1, 2, 3, 5])
def test_an_interrupted_computation_is_gone_on_with(
    tmp_path, monkeypatch, dense_model, masked_lm, kind, call
):
    monkeypatch.setattr(vector_cache, "CHUNK", 2)
    name = f"dense:{dense_model}" if kind == "dense" else f"splade:{masked_lm}"
    whole = tmp_path / "whole"
    load_teacher(name, CORPUS, whole)
    cut = tmp_path / "cut"
    with pytest.raises(Killed):
        load_teacher(name, CORPUS, cut, killed_at(call))
    for part in cut.glob("*.npy.part"):
        with part.open("ab") as file:
            file.write(b"torn")
    load_teacher(name, CORPUS, cut)
    files = sorted(path.name for path in whole.iterdir())
    assert files == sorted(path.name for path in cut.iterdir())
    assert len(files) == 2
    for file in files:
        assert (whole / file).read_bytes() == (cut / file).read_bytes()


def test_only_what_is_missing_is_computed(tmp_path, monkeypatch, dense_model):
    monkeypatch.setattr(vector_cache, "CHUNK", 1)
    seen = []
    encode = PooledTransformer.encode
    monkeypatch.setattr(
        PooledTransformer,
        "encode",
        lambda self, texts: (seen.extend(texts), encode(self, texts))[1],
    )
    with pytest.raises(Killed):
        load_teacher(f"dense:{dense_model}", CORPUS, tmp_path, killed_at(4))
    assert seen == CORPUS.queries[:3]
    load_teacher(f"dense:{dense_model}", CORPUS, tmp_path)
    # The last one written is not trusted, and done again.
    assert seen[3:] == [*CORPUS.queries[2:], *CORPUS.documents]


def test_files_that_are_damaged_or_of_others_are_refused(tmp_path, dense_model, masked_lm):
    for name, ending in ((f"dense:{dense_model}", "npy"), (f"splade:{masked_lm}", "safetensors")):
        load_teacher(name, CORPUS, tmp_path)
        path = next(tmp_path.glob(f"*-documents.{ending}"))
        content = path.read_bytes()
        other = next(tmp_path.glob(f"*-queries.{ending}")).read_bytes()
        for damaged in (content[:-5], content[:20], b"", other):
            path.write_bytes(damaged)
            with pytest.raises(CorruptionError):
                load_teacher(name, CORPUS, tmp_path)


def test_the_array_file_is_one_of_numpy(tmp_path, dense_model):
    encoder = DenseEncoder.load(str(dense_model))
    for count in (0, 1, 5):
        path = tmp_path / f"{count}.npy"
        vector_cache.dense_vectors(path, encoder, CORPUS.documents[:count])
        loaded = np.load(path, allow_pickle=False)
        expected = encoder.encode_documents(CORPUS.documents[:count]).astype(np.float16)
        np.testing.assert_array_equal(loaded, expected)
        np.save(tmp_path / "numpy.npy", expected)
        assert path.read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_a_model_that_gives_no_numbers_is_refused(tmp_path, monkeypatch, dense_model):
    def encode(self, texts):
        return np.full((len(texts), self.dimension), np.nan, np.float32)

    monkeypatch.setattr(PooledTransformer, "encode", encode)
    with pytest.raises(InputError, match="not finite"):
        load_teacher(f"dense:{dense_model}", CORPUS, tmp_path)

    def encode_documents(self, texts):
        rows = [SparseVector.from_mapping({1: float("inf")}) for _ in texts]
        return SparseBatch.from_rows(rows, self.vocabulary.size)

    monkeypatch.setattr(Bm25Encoder, "encode_documents", encode_documents)
    with pytest.raises(InputError, match="not finite"):
        load_teacher("bm25", CORPUS, tmp_path)


rows = st.lists(sparse_vectors, min_size=1, max_size=6)


@st.composite
def candidates(draw, documents):
    shape = draw(st.integers(0, 4)), draw(st.integers(0, 5))
    return draw(arrays.arrays(np.int64, shape, elements=st.integers(-1, documents - 1)))


@settings(max_examples=60)
@given(rows, rows, st.data())
def test_sparse_scores_are_sums_of_products(queries, documents, data):
    asked, given_ = (
        SparseBatch.from_rows([SparseVector.from_mapping(row) for row in each], VOCABULARY)
        for each in (queries, documents)
    )
    teacher = SparseTeacher("sparse", asked, given_)
    chosen = data.draw(candidates(len(documents)))
    numbers = data.draw(
        arrays.arrays(np.int64, len(chosen), elements=st.integers(0, len(queries) - 1))
    )
    check(teacher, lambda q, d: dot(asked[q], given_[d]), numbers, chosen)


vectors = arrays.arrays(
    np.float16, (4, 3), elements=st.floats(-2, 2, width=16, allow_subnormal=False)
)


@settings(max_examples=60)
@given(vectors, vectors, st.data())
def test_dense_scores_are_sums_of_products(queries, documents, data):
    chosen = data.draw(candidates(len(documents)))
    numbers = data.draw(arrays.arrays(np.int64, len(chosen), elements=st.integers(0, 3)))

    def score(query, document):
        return sum(
            float(a) * float(b) for a, b in zip(queries[query], documents[document], strict=True)
        )

    check(DenseTeacher("dense", queries, documents), score, numbers, chosen)


def check(teacher, score, queries, chosen):
    found = teacher.scores(queries, chosen)
    assert found.shape == chosen.shape
    expected = np.array(by_hand(score, queries, chosen)).reshape(chosen.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    if len(chosen):
        same = np.broadcast_to(chosen[0], chosen.shape)
        np.testing.assert_allclose(
            teacher.scores(queries, same), teacher.scores(queries, same.copy()),
            rtol=1e-5, atol=1e-5,
        )  # fmt: skip


class Fixed:
    """Gives scores of a table, and something else where there is no candidate."""

    def __init__(self, name, table):
        self.name = name
        self.table = np.array(table, dtype=np.float32)

    def scores(self, queries, documents):
        return np.where(documents >= 0, self.table[queries[:, None], documents], -1e9)


tables = st.lists(
    st.lists(st.floats(-1000, 1000, width=32), min_size=4, max_size=4), min_size=3, max_size=3
)


@settings(max_examples=80)
@given(st.lists(tables, min_size=1, max_size=3), st.data())
def test_an_ensemble_is_the_mean_of_what_is_brought_to_one_range(given_, data):
    teachers = [Fixed(str(number), table) for number, table in enumerate(given_)]
    weights = [data.draw(st.floats(0.1, 5)) for _ in teachers]
    chosen = data.draw(candidates(4))
    queries = data.draw(arrays.arrays(np.int64, len(chosen), elements=st.integers(0, 2)))
    found = Ensemble(teachers, weights, 30.0).scores(queries, chosen)
    assert found.dtype == np.float32
    assert found.shape == chosen.shape
    for line, (query, row) in enumerate(zip(queries, chosen, strict=True)):
        for column, document in enumerate(row):
            expected = 0.0
            for teacher, weight in zip(teachers, weights, strict=True):
                own = [float(teacher.table[query, d]) for d in row if d >= 0]
                if document >= 0:
                    score = float(teacher.table[query, document])
                    spread = max(own) - min(own) + 1e-6
                    expected += weight / sum(weights) * (score - min(own)) / spread
            assert found[line, column] == pytest.approx(30 * expected, rel=1e-5, abs=1e-6)


def test_min_max_of_equal_scores_is_zero():
    there = np.array([[True, True, False]])
    assert min_max(np.array([[5.0, 5.0, 7.0]], np.float32), there).tolist() == [[0, 0, 0]]


def test_ensembles_that_make_no_sense():
    one = Fixed("a", [[0.0]])
    for teachers, weights, scale in (
        ([], None, 1.0), ([one], [1.0, 2.0], 1.0), ([one], [0.0], 1.0), ([one], [-1.0], 1.0),
        ([one], None, 0.0), ([one], [float("nan")], 1.0), ([one], None, float("inf")),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="ensemble"):
            Ensemble(teachers, weights, scale)
    assert Ensemble([one, one], [1, 3], 10).name == "10 * (0.25 a + 0.75 a)"


def test_statistics_are_only_for_those_who_need_them(masked_lm):
    encoder = load_encoder(f"splade:{masked_lm}")
    stored = encoder.encode_documents(CORPUS.documents)
    assert collection_statistics(encoder, CORPUS.documents, stored) is None


@pytest.mark.assets
def test_the_teachers_of_the_default_model_find_the_positives(tmp_path, assets):
    names = [
        f"splade:{assets / 'models/splade-tiny'}",
        f"dense:{assets / 'models/all-MiniLM-L6-v2'}",
    ]
    corpus = TrainingCorpus(
        ["where do penguins live", "how is steel made"],
        ["Steel is iron with carbon, smelted in furnaces.", "Antarctica is home to these birds."],
        np.array([1, 0]),
    )
    teachers = [load_teacher(name, corpus, Path(tmp_path)) for name in ["bm25", *names]]
    scores = Ensemble(teachers).scores(np.array([0, 1]), np.array([[0, 1], [0, 1]]))
    assert scores.argmax(axis=1).tolist() == [1, 0]


def test_a_range_takes_the_place_of_the_scale():
    random = np.random.default_rng(5)
    made = [
        DenseTeacher(name, random.normal(size=(3, 4)).astype(np.float16),
                     random.normal(size=(6, 4)).astype(np.float16))
        for name in "abc"
    ]  # fmt: skip
    documents = np.array([[0, 1, 2, 3], [4, 5, -1, -1], [2, 2, 2, 2]])
    found = Ensemble(made[:2], [1, 3], 7.0, made[2]).scores(np.arange(3), documents)
    plain = Ensemble(made[:2], [1, 3], 1.0).scores(np.arange(3), documents)
    for row, candidates in enumerate(documents):
        there = [
            float(made[2].scores(np.array([row]), candidates[None])[0, place])
            for place in range(4)
            if candidates[place] >= 0
        ]
        np.testing.assert_allclose(found[row], plain[row] * (max(there) - min(there)), rtol=1e-5)
