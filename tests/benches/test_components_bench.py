"""The component bench: what it trains is valid, and its page follows from the results alone."""

import dataclasses

import components
import pytest
import recipe
from components_bench.rows import PAIRS, SEPARATE, jobs, named, preset_row
from components_bench.section import STEPS, claims, section
from recipe_bench.ingredients import Budget
from recipe_bench.jobs import Places
from recipe_bench.results import Measured, Results
from recipe_bench.scores import Score
from recipe_bench.tables import collected

from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config
from lsr.train.training_presets import TRAINING_PRESETS

COLLECTIONS = ("med", "cranfield")


@pytest.fixture
def budget(tmp_path):
    return Budget(tmp_path, steps=7)


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path, tmp_path / "work", tmp_path / "cache", COLLECTIONS)


def test_every_training_is_valid_and_its_own(budget, places):
    trained = [job for job in jobs(budget) if job.tables is not None]
    configs = [parse_config(job.tables, TrainingConfig) for job in trained]
    assert len({key for job in trained for key in job.keys(places).values()}) == len(trained)
    assert {config.optimizer.steps for config in configs} == {7}
    rows = [(*job.encoders, job.seed) for job in trained]
    assert len(set(rows)) == len(rows)
    first = [row for row, seed in rows if seed == 1]
    assert first[: len(PAIRS)] == [named(*pair) for pair in PAIRS]
    assert {named(*pair, "separate") for pair in SEPARATE} < {*first}
    assert {preset_row(name) for name in TRAINING_PRESETS} < {*first}


def test_sides_that_add_terms_are_steered_and_no_others(budget):
    for job in jobs(budget):
        (row,) = job.encoders
        if job.tables is None or " / " not in row:
            continue
        document, query = row.partition(",")[0].split(" / ")
        config = parse_config(job.tables, TrainingConfig)
        own_head = row.endswith(", own head")
        assert config.model.new_head != own_head
        assert config.optimizer.learning_rate == (1e-4 if own_head else 5e-4)
        assert (config.documents.target_nnz == 120) == (document in ("mlm", "cls-mlm"))
        assert (config.queries.target_nnz == 30) == (query in ("mlm", "cls-mlm"))
        assert (config.model.documents, config.model.query_kind) == (document, query)


def test_presets_keep_their_losses_and_take_targets_for_strengths(budget):
    found = {row: job.tables for job in jobs(budget) for row in job.encoders}
    distil = parse_config(found[preset_row("distilsplade")], TrainingConfig)
    assert [loss.name for loss in distil.losses] == ["margin-mse"]
    assert (distil.documents.target_nnz, distil.queries.target_nnz) == (120, 30)
    assert distil.documents.regularizer == "flops"
    assert len(distil.teachers) == 2
    unicoil = parse_config(found[preset_row("unicoil")], TrainingConfig)
    assert (unicoil.teachers, unicoil.batches.negatives) == ((), 7)
    assert unicoil.model.new_head


def score(value, microseconds=10.0):
    queries = {str(place): value + 0.01 * (place % 3) for place in range(30)}
    return Score(value, 0.5, 120.0, 1.5, microseconds, queries, 8.0)


def results(path, budget, places, values, slow=()):
    """A file of results with a mean for each row."""
    kept = Results(path)
    machine = {"processor": "a processor", "cores": 2, "memory_gib": 4}
    for job in jobs(budget):
        for row, key in job.keys(places).items():
            if row in values:
                time = 100.0 if row in slow else 10.0
                kept.add(
                    Measured(key, row, job.seed, name, score(values[row], time), "",
                             {"seconds": 9.0, "nnz": 1.0, "strength": 0.0}, machine,
                             {"lsr": "1"})
                    for name in COLLECTIONS
                )  # fmt: skip
    return Results(path)


AS_CLAIMED = {
    "binary / mlm": 0.2, "binary / mlp": 0.2, "binary / own-terms": 0.2,
    "mlp / mlm": 0.5, "mlp / mlp": 0.45, "own-terms / own-terms": 0.45, "own-terms / mlm": 0.5,
    "mlp / binary": 0.43, "mlm / binary": 0.48, "mlm / mlp": 0.5, "mlm / own-terms": 0.5,
    "mlm / idf": 0.5, "mlm / mlm": 0.5, "BM25": 0.4,
}  # fmt: skip


def test_claims_are_decided_by_the_numbers(tmp_path, budget, places):
    def verdicts(values, slow):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        kept = results(path, budget, places, values, slow)
        return [line[-1] for line in claims(collected(jobs(budget), places, kept))]

    assert verdicts(AS_CLAIMED, ["mlm / mlm"]) == ["seen"] * 6
    own = {f"{row}, own head": value for row, value in AS_CLAIMED.items()}
    assert verdicts(AS_CLAIMED | own, ["mlm / mlm", "mlm / mlm, own head"]) == ["seen"] * 12
    assert verdicts(own, []) == ["seen"] * 4 + ["**not seen**"] * 2
    same = dict.fromkeys(AS_CLAIMED, 0.4)
    assert verdicts(same, []) == ["**not seen**"] * 6
    worse = AS_CLAIMED | {"mlm / mlm": 0.7}
    assert verdicts(worse, ["mlm / mlm"])[2:] == ["**not seen**"] * 4
    assert not verdicts({"BM25": 0.4}, [])


def test_the_page_is_written_from_the_results_alone(tmp_path, budget, places, capsys):
    kept = results(tmp_path / "r.jsonl", budget, places, AS_CLAIMED, ["mlm / mlm"])
    text = section("the command", budget, collected(jobs(budget), places, kept))
    assert "Written by `the command`" in text
    assert "| mlm / mlm | 50.0 | 50.0 | 50.0 ± 0.0 | 120 | 8.0 | 1.50 | 100.0 | 2 |" in text
    assert "| neither (own-terms / own-terms) | 45.0 |" in text
    assert "| binary | 20.0 | 20.0 |" in text
    for step in STEPS:
        assert f"| {step.effect} | {named(*step.before)} | {named(*step.after)} |" in text
    few = results(tmp_path / "few.jsonl", budget, places, {"mlm / mlm": 0.5})
    cut_off = section("the command", budget, collected(jobs(budget), places, few))
    assert "| mlm / mlm | 50.0 |" in cut_off
    assert "**Presets**" not in cut_off
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- components: begin -->\n<!-- components: end -->\nafter\n")
    given = ["--assets", str(tmp_path), "--steps", "7", "--results", str(tmp_path / "r.jsonl")]
    given += ["--work", str(tmp_path / "work"), "--collections", ",".join(COLLECTIONS)]
    assert components.main([*given, "--write", str(page)]) == 0
    assert "python benches/components.py --steps 7" in page.read_text()
    assert page.read_text().endswith("<!-- components: end -->\nafter\n")
    assert not (tmp_path / "work").exists()
    (tmp_path / "r.jsonl").write_text("")
    assert components.main([*given, "--write", str(page)]) == 2
    assert "has no results" in capsys.readouterr().err


def test_quick_is_of_the_same_options_as_the_recipe():
    ours, theirs = components.parse(["--quick"]), recipe.parse(["--quick"])
    assert (ours.steps, ours.pairs, ours.collections) == (
        theirs.steps, theirs.pairs, theirs.collections,
    )  # fmt: skip
    assert ours.command == "python benches/components.py --quick"
    assert dataclasses.asdict(recipe.budget_of(ours)) == dataclasses.asdict(
        recipe.budget_of(theirs)
    )
