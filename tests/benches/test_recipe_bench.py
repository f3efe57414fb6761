"""The recipe bench: what rows add, how they are compared, and where its text goes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import recipe
from hypothesis import given
from hypothesis import strategies as st
from recipe_bench import rows as recipe_rows
from recipe_bench.claims import judge
from recipe_bench.comparisons import Comparison, at_flops, compare
from recipe_bench.ingredients import Budget, merged
from recipe_bench.jobs import Job, Places
from recipe_bench.results import Measured, Results
from recipe_bench.rows import (
    BASELINE,
    DF_FLOPS,
    MASK,
    METHODS,
    ablations,
    curve_changes,
    jobs,
    levels,
    published,
)
from recipe_bench.scores import Score, exhaustive
from recipe_bench.section import BEGIN, END, markdown, replace_section
from recipe_bench.tables import Tables, collected, machine_name

from eval.judged_set import JudgedSet
from eval.significance import PairedTest, holm, paired_t_test
from lsr.errors import UsageError
from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config


def score(values, nnz=100.0):
    per_query = {f"q{number}": value for number, value in enumerate(values)}
    return Score(float(np.mean(values)), 0.5, nnz, nnz and nnz / 50, 9.0, per_query)


@pytest.fixture
def budget(tmp_path):
    return Budget(tmp_path / "assets", steps=7)


@pytest.fixture
def places(tmp_path):
    work = tmp_path / "work"
    return Places(tmp_path / "assets", work, work / "teachers", ("a", "b"))


def test_every_ablation_changes_one_thing_of_the_baseline(budget):
    base = budget.base()
    baseline = parse_config(base, TrainingConfig)
    assert baseline.model.new_head
    assert baseline.optimizer.steps == 7
    for row, changes in ablations(budget).items():
        config = parse_config(merged(base, changes), TrainingConfig)
        differing = {name for name, value in vars(config).items() if value != vars(baseline)[name]}
        assert differing == {*changes}, row
        # A teacher as it is needs one teacher, and negatives and topics are mined.
        assert len(differing) == 1 or differing <= {"teachers", "losses", "batches", "mining"}
    thresholds = [curve_changes(MASK, t)["documents"]["threshold"] for t in published(MASK)]
    assert thresholds == [150, 200]
    for method in METHODS:
        given = "strength" if method == DF_FLOPS else "target_nnz"
        points = [curve_changes(method, level)["documents"] for level in levels(method)]
        for documents in points:
            parse_config(merged(base, {"documents": documents}), TrainingConfig)
        assert [documents[given] for documents in points] == list(levels(method))
        assert len(points) == 5
        assert {*published(method)} <= {*levels(method)}


def test_every_job_is_one_of_its_own_wherever_the_assets_are(budget, places, tmp_path):
    every = jobs(budget, "shipped")
    for job in every:
        if job.tables is not None:
            assert parse_config(job.tables, TrainingConfig).seed == (job.seed or 1)
    keys = [key for job in every for key in job.keys(places).values()]
    assert len(keys) == len({*keys})
    elsewhere = jobs(replace(budget, assets=tmp_path / "moved \\ there"), "shipped")
    moved = replace(places, assets=tmp_path / "moved \\ there")
    assert [key for job in elsewhere for key in job.keys(moved).values()] == keys
    more = jobs(replace(budget, steps=8), "shipped")
    assert not {*keys[6:]} & {key for job in more for key in job.keys(places).values()}
    # The most important are first, and of those the first seed.
    trained = [job for job in every if job.seed]
    assert trained[1].name == f"{BASELINE}, seed 1"
    seeds = [job.seed for job in trained[:51]]
    assert seeds == [1] * 19 + [2] * 16 + [3] * 16


def test_merging_changes_tables_within_tables_and_neither_argument():
    tables, changes = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}, "e": {"f": 3}}
    assert merged(tables, changes) == {"a": {"b": 1, "c": [2]}, "d": 2, "e": {"f": 3}}
    assert tables == {"a": {"b": 1, "c": [1]}, "d": 2}


def test_a_table_has_words_and_then_numbers():
    assert markdown(["", "x"], [["row", "1"]]) == "|  | x |\n| --- | ---: |\n| row | 1 |"


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


def test_a_result_is_read_as_it_was_written(tmp_path):
    file = tmp_path / "results.jsonl"
    one = Measured("k", "row", 2, "a", score([0.12345, 0.5]), "", {"nnz": 3.0}, {"cores": 2}, {})
    failed = Measured("l", "row", 1, "", None, "collapsed")
    added = Results(file)
    added.add([one, failed])
    found = Results(file)
    assert found.of("l") == added.of("l") == {"": failed}
    again = found.of("k")["a"]
    assert added.of("k")["a"] == again  # a run that goes on averages both
    assert again.score.per_query == {"0": 0.1235, "1": 0.5}
    assert replace(again, score=None) == replace(one, score=None)
    assert again.score.ndcg_at_10 == one.score.ndcg_at_10
    assert found.of("none") == {}


def test_a_line_that_was_cut_off_is_passed_over(tmp_path, capsys):
    file = tmp_path / "results.jsonl"
    Results(file).add([Measured("k", "row", 1, "a", score([1.0]))])
    file.write_text(file.read_text() + file.read_text()[:50])
    Results(file).add([Measured("k", "row", 1, "b", score([1.0]))])
    found = Results(file)
    assert {*found.of("k")} == {"a", "b"}
    assert "results.jsonl:2 is no result" in capsys.readouterr().err


def test_rows_are_compared_query_by_query_with_holms_correction():
    random = np.random.default_rng(0)
    first = {name: score(random.random(9)) for name in "abcd"}
    second = {name: score(random.random(9)) for name in "abc"} | {"d": None}
    found = compare(first, second)
    plain = [paired_t_test(first[name].per_query, second[name].per_query) for name in "abc"]
    assert [found.tests[name].p for name in "abc"] == holm([test.p for test in plain])
    assert [found.tests[name].difference for name in "abc"] == [test.difference for test in plain]
    assert found.tests["d"] is None
    assert found.difference == pytest.approx(np.mean([test.difference for test in plain]))
    assert found.compared == 3


def test_at_equal_flops_each_query_is_interpolated_over_their_logarithm():
    random = np.random.default_rng(1)
    flops = [4.0, 0.5, 1.0, 2.0]
    values = random.random((4, 3))
    curve = [
        {"a": replace(score(row), flops=cost)} for row, cost in zip(values, flops, strict=True)
    ]
    order = np.argsort(flops)
    for asked in (0.5, 0.7, 1.0, 3.9, 4.0):
        found = at_flops(curve, {"a": replace(score([0, 0, 0]), flops=asked)})["a"]
        expected = [
            np.interp(np.log(asked), np.log(np.take(flops, order)), column[order])
            for column in values.T
        ]
        assert list(found.per_query.values()) == pytest.approx(expected)
        assert found.ndcg_at_10 == pytest.approx(np.mean(expected))
    for outside in (0.4, 4.1, None):
        row = {"a": replace(score([0, 0, 0]), flops=outside)}
        assert at_flops(curve, row) == {"a": None}


def test_seeds_are_averaged_query_by_query():
    values = np.random.default_rng(2).random((3, 2, 4))
    tables = Tables(
        ("a", "b"),
        {"row": {seed: dict(zip("ab", map(score, rows), strict=True))
                 for seed, rows in enumerate(values, 1)}},
        {"row": {1: {"nnz": 10.0}, 2: {"nnz": 20.0}, 3: {}}},
    )  # fmt: skip
    mean = tables.mean("row")
    assert list(mean["b"].per_query.values()) == pytest.approx(values[:, 1].mean(axis=0))
    some = tables.mean("row", {1, 3})["a"].per_query
    assert list(some.values()) == pytest.approx(values[[0, 2], 0].mean(axis=0))
    assert tables.overall("row", "ndcg_at_10") == pytest.approx(values.mean())
    assert tables.spread("row") == pytest.approx(values.mean(axis=(1, 2)).std(ddof=1))
    assert tables.fact("row", "nnz") == 15
    assert tables.fact("row", "strength") is None


def test_times_are_of_the_machine_that_most_rows_were_scored_on(places):
    here = {"processor": "P", "cores": 2, "memory_gib": 8}
    there = here | {"cores": 16, "gpu": "G"}
    rows = [Job({f"row {number}": "encoder"}, seed) for number in (1, 2) for seed in (1, 2)]
    machines = [here | {"system": "old"}, there, here | {"system": "new"}, here]
    results = Results(None)
    for place, (job, machine) in enumerate(zip(rows, machines, strict=True)):
        (row,) = job.encoders
        job = rows[place] = replace(job, tables={"seed": place})
        (key,) = job.keys(places).values()
        one = replace(score([0.1]), microseconds=float(place))
        results.add(Measured(key, row, job.seed, name, one, machine=machine)
                    for name in places.collections)  # fmt: skip
    tables = collected(rows, places, results)
    assert machine_name(tables.timed) == "P, 2 cores, 8 GiB"
    assert tables.overall("row 1", "microseconds") == 0.0  # not the mean with 1.0, of 16 cores
    assert tables.overall("row 2", "microseconds") == 2.5
    assert tables.number("row 2", "microseconds", 1) == "2.5"
    one_there = collected(rows[1:2] + rows[2:], places, results)
    assert one_there.number("row 1", "microseconds", 1) == "–"
    assert one_there.overall("row 1", "ndcg_at_10") == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("tests", "verdict"),
    [
        ([(0.1, 0.01), (0.0, 0.9)], "seen"),
        ([(0.1, 0.2), (0.1, 0.9)], "**not seen**"),
        ([(0.3, 0.01), (-0.1, 0.01)], "**not seen**"),
        ([(-0.3, 0.01), (0.1, 0.9)], "**the opposite was seen**"),
        ([(-0.3, 0.1), (0.1, 0.9)], "**not seen**"),
        ([None, None], "can't be compared"),
        ([(0.1, 0.01), None], "can't be compared"),
        ([(0.1, 0.01), (0.1, 0.01), None], "seen"),
    ],
)
def test_numbers_decide_what_is_said_of_a_claim(tests, verdict):
    found = {str(place): one and PairedTest(*one) for place, one in enumerate(tests)}
    assert judge(Comparison(found)) == verdict


def measured(job, places, random):
    return [
        Measured(
            key, row, job.seed, name, score(random.random(5), random.uniform(50, 400)), "",
            {"seconds": 9.0, "nnz": 100.0, "strength": 0.1} if job.seed else {},
            {"processor": "P", "cores": 2, "memory_gib": 8, "gpu": "G"}, {"torch": "2"},
        )
        for row, key in job.keys(places).items() for name in places.collections
    ]  # fmt: skip


@pytest.mark.parametrize("most", [None, 20, 6, 1])
def test_the_section_is_written_from_results_alone(tmp_path, most):
    """Of all rows, and of those that a run that was cut off has."""
    given = ["--assets", str(tmp_path / "none"), "--collections", "med,cranfield"]
    options = recipe.parse([*given, "--work", str(tmp_path)])
    places = recipe.places_of(options)
    random = np.random.default_rng(3)
    every = jobs(recipe.budget_of(options), options.shipped)
    found = [measured(job, places, random) for job in every[:most]]
    Results(tmp_path / "results.jsonl").add(itertools.chain(*found))
    guide = tmp_path / "docs" / "guide.md"
    guide.parent.mkdir()
    guide.write_text(f"{BEGIN}\n{END}\n")
    given += ["--results", str(tmp_path / "results.jsonl"), "--write", str(guide)]
    assert recipe.main(given) == 0
    text = guide.read_text()
    assert "on G, P, 2 cores, 8 GiB; torch 2, commit unknown." in text
    values = {
        row: [[one.score.ndcg_at_10 for one in lines if one.row == row] for lines in found]
        for row in (recipe_rows.BM25, BASELINE)
    }
    means = {
        row: np.mean([one for one in all_ if one]) for row, all_ in values.items() if any(all_)
    }
    for row, mean in means.items():
        [line] = [line for line in text.splitlines() if line.startswith(f"| {row} |")][-1:]
        assert line.endswith(f"| {100 * mean:.1f} |")
    drawn = guide.parent / "plots" / "recipe-curves.svg"
    assert drawn.is_file() == ("plots/recipe-curves.svg" in text) == (most in (None, 20))
    assert ("| Mined negatives" in text) == (most in (None, 20))


def test_there_is_nothing_to_write_without_results(tmp_path, capsys):
    (tmp_path / "guide.md").write_text(f"{BEGIN}\n{END}\n")
    given = ["--results", str(tmp_path / "none"), "--write", str(tmp_path / "guide.md")]
    assert recipe.main(given) == 2
    assert "run the bench first" in capsys.readouterr().err


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
    given += ["--assets", "/c", "--jobs", "3", "--minutes", "2"]
    command = recipe.parse(given).command
    assert command == "python benches/recipe.py --steps 9 --write docs/training.md"
