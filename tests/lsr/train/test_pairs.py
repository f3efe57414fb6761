"""Pairs come out of files as they were written; samples are what a sort of all pairs would give."""

import gzip
import hashlib
import json
import lzma
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError, NotFoundError, UsageError
from lsr.train.pairs import Pair, PairSource, TrainingCorpus, read_pairs
from tests.strategies import texts

PACK = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
PAIRS = [Pair(f"query {number % 7}", f"document {number % 11}") for number in range(60)]


def write(path, pairs):
    rows = [json.dumps({"query": query, "positive": positive}) for query, positive in pairs]
    path.write_text("".join(f"{row}\n" for row in rows))
    return str(path)


def tuples(pairs):
    return [(pair.query, pair.positive) for pair in pairs]


def rows(corpus):
    """Query and document text of each row."""
    return [
        (query, corpus.documents[row])
        for query, row in zip(corpus.queries, corpus.positives.tolist(), strict=True)
    ]


def refuse(sentence):
    raise AssertionError(sentence)


@pytest.mark.parametrize("ending", PACK)
def test_pairs_of_a_file(tmp_path, ending):
    path = tmp_path / f"pairs.jsonl{ending}"
    lines = [
        {"query": "naïve café", "positive": "中文\n字符", "source": ["x", 1]},
        {"positive": "b", "query": "", "id": None},
    ]
    path.write_bytes(PACK[ending](b"\n".join(json.dumps(line).encode() for line in lines)))
    said = []
    found = list(read_pairs(str(path), said.append))
    assert found == [Pair("naïve café", "中文\n字符"), Pair("", "b")]
    assert said == [f"{path}: not used are the members 'id' (of 1 pairs), 'source' (of 1 pairs)"]


def test_given_negatives_are_rows_of_the_corpus(tmp_path):
    path = tmp_path / "pairs.jsonl"
    lines = [
        {"query": "a", "positive": "b", "negative": "c", "negatives": ["d", "c", "b", " "]},
        {"query": "e", "positive": "d", "negatives": []},
        {"query": "f", "positive": "g", "negative": ["x", 1]},
        {"query": "h", "positive": "c", "negatives": [f"n{number}" for number in range(101)]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = []
    corpus = TrainingCorpus.build([PairSource(str(path))], on_rejected=said.append)
    assert len(said) == 1
    assert "line 3" in said[0] or ":3:" in said[0]
    assert "give a string or a list of strings as 'negative'" in said[0]
    found = {
        query: [corpus.documents[row] for row in rows if row >= 0]
        for query, rows in zip(corpus.queries, corpus.given, strict=True)
    }
    assert found == {"a": ["c", "d"], "e": [], "h": [f"n{number}" for number in range(100)]}
    assert sorted(corpus.count_given().tolist()) == [0, 2, 100]
    assert len(set(corpus.documents)) == len(corpus.documents)
    plain = tmp_path / "plain.jsonl"
    for line in lines:
        line.pop("negative", None)
        line.pop("negatives", None)
    plain.write_text("".join(json.dumps(line) + "\n" for line in lines))
    without = TrainingCorpus.build([PairSource(str(plain))], on_rejected=refuse)
    assert without.digest != corpus.digest
    without.say_unused(refuse, "")
    corpus.say_unused(said.append, "nothing does")
    assert said[1] == "the negatives that 2 pairs came with are not used; nothing does"


def test_what_is_given_and_not_used_is_said_once(tmp_path):
    path = tmp_path / "pairs.jsonl"
    pair = {"query": "a", "positive": "b"}
    lines = [pair | {"Negative": "c"}, pair, pair | {"Negative": "d", "kind": "x", "document": "1"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = []
    assert len(list(read_pairs(str(path), said.append))) == 3
    assert said == [
        f"{path}: not used are the members 'Negative' (of 2 pairs); negatives are read from "
        "'negative' and 'negatives'"
    ]
    path.write_text(json.dumps(pair | {"kind": "title", "document": "d1"}))
    assert list(read_pairs(str(path), refuse)) == [Pair("a", "b")]
    many = [pair | {f"member{number}" * 99: 1} for number in range(1000)]
    path.write_text("".join(json.dumps(line) + "\n" for line in many))
    said = []
    assert len(list(read_pairs(str(path), said.append))) == 1000
    assert len(said) == 1
    assert len(said[0]) < 1000


def test_bad_lines_are_named_and_the_good_are_kept(tmp_path):
    path = tmp_path / "pairs.jsonl"
    bad = [
        b'{"query": "a"}', b'{"query": 1, "positive": "b"}', b"[]", b"no", b"\xff",
        b'{"query": "\\ud800", "positive": "b"}', b'{"query": "a", "positive": NaN}',
    ]  # fmt: skip
    path.write_bytes(b"\n".join([*bad, b"", b'{"query": "a", "positive": "b"}']))
    said = []
    assert list(read_pairs(str(path), said.append)) == [Pair("a", "b")]
    assert [sentence.split(" ")[0] for sentence in said] == [f"{path}:{n}:" for n in range(1, 8)]
    assert "whose 'query' and 'positive' are strings" in said[0]


def test_a_file_cut_off_gives_what_is_whole(tmp_path):
    path = tmp_path / "pairs.jsonl.xz"
    noise = random.Random(0)
    whole = "".join(
        json.dumps({"query": f"q{noise.random()}", "positive": "d"}) + "\n" for _ in range(9999)
    )
    path.write_bytes(lzma.compress(whole.encode())[:-30000])
    said = []
    found = list(read_pairs(str(path), said.append))
    assert found
    assert "".join(json.dumps({"query": p.query, "positive": "d"}) + "\n" for p in found) in whole
    assert any("can't be read further" in sentence for sentence in said)


def beir(folder):
    (folder / "qrels").mkdir()
    corpus = [{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": "two"}]
    queries = [{"_id": "q1", "text": "first"}, {"_id": "q2", "text": "second"}]
    for name, records in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))
    judged = "query-id\tcorpus-id\tscore\nq1\td2\t1\nq2\td1\t2\nq2\td2\t0\nq1\td1\t1\n"
    (folder / "qrels" / "train.tsv").write_text(judged)
    (folder / "qrels" / "test.tsv").write_text("q1\td2\t1\nq9\td2\t1\nq1\td9\t1\n")
    return str(folder)


def test_pairs_of_a_beir_folder(tmp_path):
    source = beir(tmp_path)
    assert sorted(tuples(read_pairs(source, refuse))) == [
        ("first", "T one"), ("first", "two"), ("second", "T one"),
    ]  # fmt: skip
    said = []
    assert tuples(read_pairs(source, said.append, "test")) == [("first", "two")]
    assert len(said) == 2
    assert "'q9'" in said[0]
    assert "'d9'" in said[1]


def test_sources_that_are_none(tmp_path):
    with pytest.raises(NotFoundError, match="no file or folder"):
        read_pairs(str(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="of no known kind"):
        read_pairs(str(write(tmp_path / "a.txt", [])))
    with pytest.raises(NotFoundError, match=r"needs corpus.jsonl"):
        list(read_pairs(str(tmp_path)))
    with pytest.raises(UsageError, match="allowed is 1 or more"):
        PairSource("a", 0)
    with pytest.raises(UsageError, match="no pair to train on"):
        TrainingCorpus.build([PairSource(write(tmp_path / "a.jsonl", [("a", "A")]))])
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(UsageError, match="0 to below 1"):
            TrainingCorpus.build([], held_out=share)


some_pairs = st.lists(st.tuples(texts, texts), max_size=12)


@settings(max_examples=60)
@given(some_pairs, st.sampled_from([0.0, 0.3, 0.9]))
def test_a_corpus_holds_every_pair_that_is_one(tmp_path_factory, pairs, share):
    path = tmp_path_factory.mktemp("pairs") / "a.jsonl"
    source = PairSource(write(path, [*pairs, ("the only", "certain one")]))

    def same(text):
        return " ".join(text.casefold().split())

    def held(query):
        data = same(query).encode()
        digest = hashlib.blake2b(len(data).to_bytes(8, "little") + data, digest_size=8).digest()
        return int.from_bytes(digest, "little") < share * 2**64

    good = {
        (query, document)
        for query, document in [*pairs, ("the only", "certain one")]
        if query.strip() and document.strip() and same(query) != same(document)
    }
    judged = {(same(query), document) for query, document in good if held(query)}
    aside = {document for _, document in judged}
    kept = {(q, d) for q, d in good if not held(q) and d not in aside}
    if not kept:
        with pytest.raises(UsageError):
            TrainingCorpus.build([source], held_out=share)
        return
    corpus = TrainingCorpus.build([source], held_out=share)
    assert sorted(rows(corpus)) == sorted(kept)
    assert len(set(corpus.documents)) == len(corpus.documents)
    found = {
        (same(corpus.held_out.queries[query]), corpus.held_out.documents[document])
        for query, documents in corpus.held_out.qrels.items()
        for document in documents
    }
    assert found == judged
    assert len(corpus.held_out.queries) == len({query for query, _ in judged})
    assert set(corpus.held_out.documents.values()) == aside


def test_a_sample_does_not_depend_on_the_order_of_the_file(tmp_path):
    shuffled = random.Random(1).sample(PAIRS, len(PAIRS))
    one = PairSource(write(tmp_path / "a.jsonl", tuples(PAIRS)), 20)
    other = PairSource(write(tmp_path / "b.jsonl", tuples(shuffled)), 20)
    first = TrainingCorpus.build([one], seed=3)
    second = TrainingCorpus.build([other], seed=3)
    assert rows(first) == rows(second)
    assert len(first.queries) == 20
    assert first.digest == second.digest
    other = TrainingCorpus.build([one], seed=4)
    assert set(rows(other)) != set(rows(first))
    assert other.digest != first.digest


def test_a_smaller_sample_is_part_of_a_larger_one(tmp_path):
    path = write(tmp_path / "a.jsonl", tuples(PAIRS))
    samples = [rows(TrainingCorpus.build([PairSource(path, n)], seed=5)) for n in (5, 25, 1000)]
    assert samples[0] == samples[1][:5]
    assert set(samples[1]) <= set(samples[2])
    assert sorted(samples[2]) == sorted({(p.query, p.positive) for p in PAIRS})


def test_all_pairs_are_the_same_corpus_whatever_the_seed(tmp_path):
    path = write(tmp_path / "a.jsonl", tuples(PAIRS))
    built = [
        TrainingCorpus.build([PairSource(path, limit)], seed)
        for limit, seed in ((None, 1), (None, 2), (1000, 3))
    ]
    assert len({corpus.digest for corpus in built}) == 1
    few = {TrainingCorpus.build([PairSource(path, 5)], seed).digest for seed in (1, 2)}
    assert len(few) == 2


def test_samples_are_even(tmp_path):
    path = write(tmp_path / "a.jsonl", [(f"q{n}", f"d{n}") for n in range(40)])
    taken = np.zeros(40)
    for seed in range(200):
        for query, _ in rows(TrainingCorpus.build([PairSource(path, 10)], seed=seed)):
            taken[int(query[1:])] += 1
    # 200 draws of one in four: 50 on average, 6.1 standard deviation.
    assert taken.min() > 25
    assert taken.max() < 75


def test_what_is_held_out_is_the_same_for_every_seed_and_limit(tmp_path):
    path = write(tmp_path / "a.jsonl", [(f"q{n}", f"d{n // 2}") for n in range(200)])
    corpora = [
        TrainingCorpus.build([PairSource(path, limit)], seed, 0.2)
        for seed, limit in ((0, None), (1, 50), (2, 10))
    ]
    assert corpora[0].held_out == corpora[1].held_out == corpora[2].held_out
    held = corpora[0].held_out
    assert 20 < len(held.queries) < 60
    for corpus in corpora:
        assert not set(corpus.queries) & set(held.queries.values())
        assert not set(corpus.documents) & set(held.documents.values())


def test_pairs_left_out_are_counted(tmp_path):
    said = []
    path = write(tmp_path / "a.jsonl", [("a", "b"), (" ", "b"), ("a", ""), ("A  b", "a B")])
    assert rows(TrainingCorpus.build([PairSource(path)], on_rejected=said.append)) == [("a", "b")]
    assert [sentence for sentence in said if "3 pairs are left out" in sentence] == said


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "A", "b", "ß", "SS", " a"]), st.integers(0, 4)), min_size=1
    ),
    st.data(),
)
def test_relevant_documents_are_those_of_the_same_query(pairs, data):
    queries = [query for query, _ in pairs]
    positives = np.array([document for _, document in pairs])
    corpus = TrainingCorpus(queries, [f"d{number}" for number in range(5)], positives)
    relevant = [
        {d for q, d in pairs if q.casefold().strip() == query.casefold().strip()}
        for query in queries
    ]
    asked = np.array(data.draw(st.lists(st.integers(0, len(pairs) - 1), max_size=5)), np.int64)
    candidates = np.array(
        [data.draw(st.lists(st.integers(-1, 4), min_size=3, max_size=3)) for _ in asked], np.int64
    ).reshape(len(asked), 3)
    expected = [
        [int(document) in relevant[int(query)] for document in line]
        for query, line in zip(asked, candidates, strict=True)
    ]
    assert corpus.is_relevant(asked, candidates).tolist() == expected


def test_the_digest_changes_with_any_text():
    def digest(queries, documents, positives):
        return TrainingCorpus(queries, documents, np.array(positives)).digest

    digests = [
        digest(["a", "b"], ["c", "d"], [0, 1]),
        digest(["a", "b"], ["c", "d"], [1, 0]),
        digest(["ab", ""], ["c", "d"], [0, 1]),
        digest(["a", "b"], ["cd", ""], [0, 1]),
        digest(["a"], ["b", "c", "d"], [0]),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(["a", "b"], ["c", "d"], [0, 1]) == digests[0]


def test_the_sample_is_the_same_in_every_process(tmp_path):
    path = write(tmp_path / "a.jsonl", tuples(PAIRS))
    program = (
        "from lsr.train.pairs import PairSource, TrainingCorpus;"
        f"print(TrainingCorpus.build([PairSource({path!r}, 20)], 7).digest)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {TrainingCorpus.build([PairSource(path, 20)], 7).digest + "\n"}
