"""`lsr train`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import json_option

if TYPE_CHECKING:
    from lsr.train.config import TrainingConfig
    from lsr.train.run import Judge
    from lsr.train.spar.run import SparTrainingConfig


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Folder, in place of CONFIG's.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of the teachers' vectors.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
@click.pass_obj
def train_command(
    judge: Judge,
    config: Path,
    output: Path | None,
    cache: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train an encoder as CONFIG, a TOML file, says.

    It is a sparse encoder, or, with kind = "spar", a dense one that imitates a sparse one.

    Run the same command again after an interruption: it goes on from its last checkpoint, and
    gives the weights that it would have given without. The folder then holds the encoder, which
    --encoder or --dense takes, and `log.jsonl` with its plot `log.png`.
    """
    from lsr.errors import UsageError
    from lsr.train.config import TrainingConfig
    from lsr.train.config_file import parse_config, read_toml
    from lsr.train.spar.run import SparTrainingConfig

    tables = read_toml(config)
    kind = tables.pop("kind", "sparse")
    if kind == "sparse":
        sparse = parse_config(tables, TrainingConfig)
        _train_sparse(sparse, judge, output, cache, quiet, as_json)
    elif kind == "spar":
        if cache is not None:
            raise UsageError('--cache is given, but kind = "spar" has no vectors of teachers')
        settings = parse_config({"kind": kind} | tables, SparTrainingConfig)
        _train_spar(settings, output, quiet, as_json)
    else:
        raise UsageError(f"kind is {kind!r}; allowed are 'sparse' and 'spar'")


def _train_sparse(
    settings: TrainingConfig,
    judge: Judge,
    output: Path | None,
    cache: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    from index.mining import retrieve
    from lsr.train.run import Tools, Watching, run_training
    from service.commands import terminal

    folder = output or Path(settings.output)
    with terminal.training_progress(quiet or as_json) as (on_step, on_progress):
        watching = Watching(on_step, on_progress, terminal.print_rejected)
        tools = Tools(partial(retrieve, on_progress=on_progress), judge)
        report = run_training(settings, folder, cache or folder / "teachers", tools, watching)
    if as_json:
        terminal.print_json(report.to_json())
    else:
        terminal.print_training_report(report)


def _train_spar(
    settings: SparTrainingConfig, output: Path | None, quiet: bool, as_json: bool
) -> None:
    from index.mining import retrieve
    from lsr.train.run import Watching
    from lsr.train.spar.run import run_spar
    from service.commands import terminal

    folder = output or Path(settings.output)
    with terminal.training_progress(quiet or as_json) as (on_step, on_progress):
        watching = Watching(on_step, on_progress, terminal.print_rejected)
        ranked = partial(retrieve, on_progress=on_progress)
        report = run_spar(settings, folder, ranked, watching)
    if as_json:
        terminal.print_json(report.to_json())
    else:
        terminal.print_spar_report(report)
