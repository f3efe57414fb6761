"""``lsr train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import json_option, trust_option

if TYPE_CHECKING:
    from lsr.trusted_code import TrustedCode


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Folder, in place of CONFIG's.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of the teachers' vectors.")
@trust_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def train_command(
    config: Path,
    output: Path | None,
    cache: Path | None,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train an encoder as CONFIG, a TOML file, says.

    It is a sparse encoder; with kind = "dense-terms" one to whose documents a dense model adds
    terms; with kind = "spar" a dense one that imitates a sparse one; with kind = "cross-encoder"
    a model that re-ranks.

    Run the same command again after an interruption: it goes on from its last checkpoint, and
    gives the weights that it would have given without. The folder then holds the encoder, which
    --encoder or --dense takes, and `log.jsonl` with its plot `log.png`.
    """
    from eval.training import require_packages, train

    require_packages()
    from lsr.train.dense_terms.run import DenseTermsReport
    from lsr.train.reranker.run import CrossEncoderReport
    from lsr.train.run import TrainingReport, Watching
    from service.commands import terminal

    with terminal.training_progress(quiet or as_json) as (on_step, on_progress):
        watching = Watching(on_step, on_progress, terminal.print_rejected)
        report = train(config, output, cache, watching, trusted)
    if as_json:
        terminal.print_json(report.to_json())
    elif isinstance(report, TrainingReport):
        terminal.print_training_report(report)
    elif isinstance(report, DenseTermsReport):
        terminal.print_dense_terms_report(report)
    elif isinstance(report, CrossEncoderReport):
        terminal.print_cross_encoder_report(report)
    else:
        terminal.print_spar_report(report)
