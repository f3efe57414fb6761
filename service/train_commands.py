"""`lsr train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.options import json_option

if TYPE_CHECKING:
    from lsr.train.config import TrainingConfig
    from lsr.train.pairs import HeldOut
    from lsr.train.trainer import Evaluate


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Folder, in place of CONFIG's.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of the teachers' vectors.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def train_command(
    config: Path, output: Path | None, cache: Path | None, quiet: bool, as_json: bool
) -> None:
    """Train a sparse encoder as CONFIG, a TOML file, says.

    Run the same command again after an interruption: it goes on from its last checkpoint, and
    gives the weights that it would have given without. The folder then holds the encoder in
    `student`, which --encoder takes, and `log.jsonl` with its plot `log.png`.
    """
    from index.mining import retrieve
    from lsr.train.config import TrainingConfig
    from lsr.train.config_file import read_config
    from lsr.train.run import Tools, Watching, run_training
    from service import terminal

    settings = read_config(config, TrainingConfig)
    folder = output or Path(settings.output)
    with terminal.training_progress(quiet or as_json) as (on_step, on_progress):
        watching = Watching(on_step, on_progress, terminal.print_rejected)
        report = run_training(
            settings, folder, cache or folder / "teachers", Tools(retrieve, judge), watching
        )
    if as_json:
        terminal.print_json(report.to_json())
    else:
        terminal.print_training_report(report)


def judge(config: TrainingConfig, held_out: HeldOut) -> Evaluate:
    """What scores the student during training: the configured dataset, or the held-out pairs."""
    from eval.datasets import load_dataset
    from eval.judged_set import JudgedSet

    name, split = config.evaluation.dataset, config.evaluation.split
    judged = (
        JudgedSet.from_dataset(load_dataset(name, split))
        if name
        else JudgedSet.from_held_out(held_out)
    )
    return lambda encoder: judged.score(encoder).named()
