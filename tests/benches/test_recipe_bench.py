"""The recipe bench: what rows add, where its text goes, and its dense ranking."""

import itertools

import numpy as np
import pytest
import recipe
from hypothesis import given
from hypothesis import strategies as st
from recipe_bench.ingredients import Budget, merged
from recipe_bench.scores import Score, exhaustive
from recipe_bench.section import BEGIN, END, compare, markdown, replace_section, score_tables
from recipe_bench.trainings import Workshop, last_nnz

from eval.judged_set import JudgedSet
from eval.significance import holm, paired_t_test
from lsr.errors import UsageError

TEACHERS = ["bm25"]


def score(values, nnz=100.0):
    per_query = {f"q{number}": value for number, value in enumerate(values)}
    return Score(float(np.mean(values)), 0.5, nnz, nnz and 1.5, per_query)


def test_every_row_is_the_row_before_and_its_own_changes(tmp_path):
    budget = Budget(tmp_path, steps=7, seed=3)
    rows = list(budget.configs().items())
    assert [row for row, _ in rows] == list(budget.ingredients())
    for (_, before), (row, config) in itertools.pairwise(rows):
        assert config != before, row
        assert (config.optimizer, config.seed, config.sources) == (
            before.optimizer,
            before.seed,
            before.sources,
        )
    assert rows[0][1].optimizer.steps == 7
    assert rows[0][1].documents.regularizer == "none"
    [target] = {config.documents.target_nnz for _, config in list(budget.configs(60).items())[2:]}
    assert target == 60
    assert list(budget.configs(60).values())[-1].documents.threshold < 60


def test_merging_changes_tables_within_tables_and_neither_argument():
    tables, changes = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}, "e": {"f": 3}}
    assert merged(tables, changes) == {"a": {"b": 1, "c": [2]}, "d": 2, "e": {"f": 3}}
    assert tables == {"a": {"b": 1, "c": [1]}, "d": 2}


def test_the_section_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "guide.md"
    path.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    replace_section(path, "new\n\n")
    assert path.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN + BEGIN + END, BEGIN + END + END])
def test_a_file_without_one_pair_of_markers_is_left_alone(tmp_path, text):
    path = tmp_path / "guide.md"
    path.write_text(text)
    with pytest.raises(UsageError, match="recipe: begin"):
        replace_section(path, "new")
    assert path.read_text() == text


def test_tables_have_a_mean_and_no_row_for_what_a_dense_encoder_lacks():
    scores = {
        "sparse": {"a": score([0.2, 0.4], 10), "b": score([0.6, 0.6], 30)},
        "dense": {"a": score([1.0, 1.0], None), "b": score([0.5, 0.5], None)},
    }
    tables = score_tables(scores)
    assert "| sparse | 30.0 | 60.0 | 45.0 |" in tables
    assert "| sparse | 10 | 30 | 20 |" in tables
    assert tables.count("| dense |") == 2
    assert markdown(["", "x"], [["row", "1"]]) == "|  | x |\n| --- | ---: |\n| row | 1 |"


def test_rows_are_compared_query_by_query_with_holms_correction():
    random = np.random.default_rng(0)
    first = {name: score(random.random(9)) for name in "abc"}
    second = {name: score(random.random(9)) for name in "abc"}
    found = compare({"x": first, "y": second}, [("x", "y")])["x", "y"]
    plain = [paired_t_test(first[name].per_query, second[name].per_query) for name in "abc"]
    assert [found[name].p for name in "abc"] == holm([test.p for test in plain])
    assert [found[name].difference for name in "abc"] == [test.difference for test in plain]


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 12), st.integers(0, 99))
def test_the_dense_ranking_is_that_of_a_loop(queries, documents, depth, seed):
    random = np.random.default_rng(seed)
    asked = random.integers(-2, 3, (queries, 3)).astype(np.float32)
    stored = random.integers(-2, 3, (documents, 3)).astype(np.float16)
    found = exhaustive(asked, stored, depth)
    for row, query in enumerate(asked):
        ranked = sorted((-float(query @ one), place) for place, one in enumerate(stored))[:depth]
        assert found.documents[row].tolist() == [place for _, place in ranked]
        assert found.scores[row].tolist() == [-value for value, _ in ranked]


def test_the_head_of_a_judged_set_has_its_queries_documents_only():
    judged = JudgedSet(
        "set",
        {"a": "A", "b": "B", "c": "C"},
        {"1": "one", "2": "two"},
        {"1": {"b": 1, "c": 0}, "2": {"a": 2}},
    )
    head = judged.head(1)
    assert (head.queries, head.qrels) == ({"1": "one"}, {"1": {"b": 1, "c": 0}})
    assert head.documents == {"b": "B", "c": "C"}
    assert judged.head(2) == judged


def test_the_command_in_the_docs_names_no_place():
    given = ["--work", "/a", "--json=/b", "--steps", "9", "--write", "docs/training.md"]
    command = recipe.parse(given).command
    assert command == "python benches/recipe.py --steps 9 --write docs/training.md"


def pairs(path):
    words = [f"whale{number} moon{number} tree{number}" for number in range(12)]
    path.write_text(
        "".join(
            f'{{"query": "what is {word.split()[0]}", "positive": "{word} and water"}}\n'
            for word in words
        )
    )


def test_a_row_is_trained_once(tmp_path, masked_lm, capsys):
    from lsr.train.config import TrainingConfig, parse_config

    pairs(tmp_path / "pairs.jsonl")
    config = parse_config(
        {
            "model": {"base": str(masked_lm), "max_length": 16, "export_length": 16},
            "sources": [{"path": str(tmp_path / "pairs.jsonl")}],
            "batches": {"queries": 4},
            "losses": [{"name": "kl"}],
            "teachers": [{"name": name} for name in TEACHERS],
            "optimizer": {"steps": 2},
            "evaluation": {"every": 0, "held_out": 0.0},
        },
        TrainingConfig,
    )
    workshop = Workshop(tmp_path / "work", tmp_path / "teachers")
    first = workshop.train("a row", config)
    before = (first / "state.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert workshop.train("a row", config) == first
    assert "done before" in capsys.readouterr().err
    assert (first / "state.safetensors").stat().st_mtime_ns == before
    assert last_nnz(first) > 0
    untrained = workshop.untrained(config)
    assert (untrained / "idf.json").is_file()
