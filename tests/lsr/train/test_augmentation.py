"""Paraphrased pairs: which sections change, which pairs come of it, and that seeds decide."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.encoders.packaged import packaged_checkpoint
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.train.augmentation import Augmentation, augment, parts_of
from lsr.train.easy_augmentation import (
    OPERATIONS,
    EasyAugmentation,
    delete_words,
    insert_words,
    replace_words,
    swap_words,
)
from lsr.train.pairs import Pair, PairSource, TrainingCorpus
from lsr.train.synonyms import LEAST_LIKE, MOST, NearestWords, read_synonyms
from tests.strategies import texts

RESUME = "Anna\n\nExperience:\nBuilt engines in a team.\n\n# Skills\nC++, search\n\nRest"
WORDS = [f"w{number}" for number in range(20)]


def known(word):
    return [f"{word}a", f"{word}b"] if word.startswith("w") else []


def shout(sections, copy):
    return [f"{section.upper()}{copy}" for section in sections]


@settings(max_examples=200, deadline=None)
@given(texts | st.text(alphabet="aB #:=\n\r-."))
def test_parts_are_the_text(text):
    parts = parts_of(text)
    assert "".join(part.heading + part.body for part in parts) == text


def test_sections_stand_under_headings_or_are_paragraphs():
    assert [(part.name, part.body.strip()) for part in parts_of(RESUME)] == [
        ("Anna", ""),
        ("Experience", "Built engines in a team."),
        ("Skills", "C++, search\n\nRest"),
    ]
    assert [part.body for part in parts_of("one\ntwo\n\n\nthree, four.")] == [
        "one\ntwo\n\n\n",
        "three, four.",
    ]


def test_only_named_sections_change_and_only_their_bodies():
    pair = Pair(RESUME, "Job, and no heading.")
    found = list(augment([pair], Augmentation(sections=(" skills ",)), shout))
    assert [each.is_paraphrase for each in found] == [False, True]
    assert found[1].pair.query == RESUME.replace("C++, search\n\nRest", "C++, SEARCH\n\nREST1")
    assert found[1].pair.positive == pair.positive


@pytest.mark.parametrize(
    ("sides", "copies", "count"), [("both", 1, 4), ("both", 2, 9), ("query", 2, 3)]
)
def test_every_wording_stands_with_every_other(sides, copies, count):
    pair = Pair("a resume", "a job", ("wrong",))
    found = [each.pair for each in augment([pair], Augmentation(copies, sides), shout)]
    queries = ["a resume", *(f"A RESUME{n + 1}" for n in range(copies))]
    jobs = ["a job", *(f"A JOB{n + 1}" for n in range(copies))] if sides == "both" else ["a job"]
    assert [(each.query, each.positive) for each in found] == [
        (q, j) for q in queries for j in jobs
    ]
    assert len(found) == count
    assert {each.negatives for each in found} == {("wrong",)}


def test_a_text_has_the_same_wordings_in_all_pairs_and_no_pair_comes_twice():
    pairs = [Pair("a", "x"), Pair("a", "y"), Pair("a", "x"), Pair("", "x"), Pair("A1", "x")]
    found = [each.pair for each in augment(pairs, Augmentation(), shout)]
    counts = Counter((each.query, each.positive) for each in found)
    assert set(counts.values()) == {1}
    assert {each.positive for each in found if each.query == "A1"} == {"x", "X1", "y", "Y1"}


def test_no_wording_is_a_negative_of_another_in_training(tmp_path):
    import json

    file = tmp_path / "pairs.jsonl"
    with file.open("w") as stream:
        for each in augment([Pair("a", "x"), Pair("b", "y")], Augmentation(), shout):
            record = {"query": each.pair.query, "positive": each.pair.positive}
            stream.write(json.dumps(record) + "\n")
    corpus = TrainingCorpus.build([PairSource(str(file))])
    rows = np.arange(len(corpus.queries))
    every = np.broadcast_to(np.arange(len(corpus.documents)), (len(rows), len(corpus.documents)))
    relevant = corpus.is_relevant(rows, every)
    for row, query in enumerate(corpus.queries):
        right = {
            doc for doc, is_right in zip(corpus.documents, relevant[row], strict=True) if is_right
        }
        assert right == ({"x", "X1"} if query.lower().startswith("a") else {"y", "Y1"})


def test_what_is_no_setting_is_said():
    for wrong in ({"copies": 0}, {"copies": 11}, {"sides": "left"}, {"sections": (" ",)}):
        with pytest.raises(UsageError):
            Augmentation(**wrong)
    with pytest.raises(UsageError, match="alpha"):
        EasyAugmentation(known, 0.9)


@pytest.mark.parametrize("count", [1, 5])
def test_operations_do_what_the_paper_says(count):
    draw = random.Random(4)
    replaced = replace_words([*WORDS, "the"], count, draw, known)
    changed = [(old, new) for old, new in zip([*WORDS, "the"], replaced, strict=True) if old != new]
    assert len(changed) == count
    assert all(new in known(old) for old, new in changed)
    inserted = insert_words(WORDS, count, draw, known)
    extra = [word for word in inserted if word not in WORDS]
    assert len(inserted) == len(WORDS) + count == len(WORDS) + len(extra)
    assert [word for word in inserted if word in WORDS] == WORDS
    assert all(word[:-1] in WORDS for word in extra)
    swapped = swap_words(WORDS, count, draw, known)
    assert sorted(swapped) == sorted(WORDS)
    assert 2 <= sum(a != b for a, b in zip(swapped, WORDS, strict=True)) <= 2 * count
    lengths = [len(delete_words(WORDS, count, draw, known)) for _ in range(2000)]
    assert np.mean(lengths) == pytest.approx(len(WORDS) - count, abs=0.3)
    assert delete_words(["a", "b"], 2, draw, known) in (["a"], ["b"])


def test_marks_and_capitals_stay():
    changed = replace_words(
        ['("W1),', "x"], 1, random.Random(1), lambda w: ["car"] if w == "w1" else []
    )
    assert changed == ['("Car),', "x"]


@settings(max_examples=100, deadline=None)
@given(st.lists(texts, max_size=4), st.integers(0, 5), st.integers(1, 3))
def test_seed_copy_and_section_decide(sections, seed, copy):
    easy = EasyAugmentation(known, 0.2, seed)
    found = easy(sections, copy)
    assert found == [EasyAugmentation(known, 0.2, seed)([each], copy)[0] for each in sections]
    for section, words in zip(sections, found, strict=True):
        assert words.count("\n") == section.count("\n")


def test_lines_of_a_few_words_stay_and_others_change():
    section = "Skills and more\n  " + " ".join(WORDS)
    easy = EasyAugmentation(known, 0.2)
    lines = [easy([section], copy)[0].split("\n") for copy in range(1, 30)]
    assert {heading for heading, _ in lines} == {"Skills and more"}
    assert all(line.startswith("  w") for _, line in lines)
    assert len({line for _, line in lines}) > 20
    assert len(OPERATIONS) == 4


def test_near_words_are_the_nearest_embeddings():
    from transformers import AutoModel

    checkpoint = packaged_checkpoint("lsr-tiny-v1")
    near = NearestWords(checkpoint)
    assert "clients" in near("customers")
    assert "physician" in near("doctor")
    assert near("the") == near("of") == near("qqqxyz") == near("##s") == ()
    # The oracle: all cosines by the model as transformers loads it.
    table = AutoModel.from_pretrained(checkpoint.folder).get_input_embeddings().weight
    tokens = checkpoint.vocabulary.tokens
    rows = [tokens.index(word) for word in near._words]
    vectors = table.detach().double().numpy()[rows]
    vectors -= vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for word in ("engineer", "quickly", "salary"):
        own = vectors @ vectors[near._words.index(word)]
        expected = [near._words[row] for row in np.argsort(-own)[1 : MOST + 1]]
        likely = [w for w in expected if own[near._words.index(w)] >= LEAST_LIKE + 1e-3]
        assert list(near(word))[: len(likely)] == likely


def test_synonyms_of_a_file(tmp_path):
    path = tmp_path / "synonyms.txt"
    path.write_text("# cars\nCar,  automobile, motor  car\n\nca, c => california # state\n")
    synonyms = read_synonyms(path)
    assert synonyms("car") == ("automobile", "motor car")
    assert synonyms("ca") == ("california",)
    assert synonyms("california") == ()
    for wrong in ("alone\n", "=> a\n", "a =>\n", "a => b => c\n", "# nothing\n"):
        path.write_text(wrong)
        with pytest.raises(InputError, match="synonyms"):
            read_synonyms(path)
    with pytest.raises(NotFoundError, match="no file of synonyms"):
        read_synonyms(tmp_path / "none")
