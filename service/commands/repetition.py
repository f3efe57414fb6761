"""An ``lsr eval`` that wrote results, done again."""

from __future__ import annotations

import io
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from lsr.errors import UsageError

if TYPE_CHECKING:
    from eval.cell import Cell
    from lsr.trusted_code import TrustedCode

# What an evaluation writes beside its results, or the results of others.
WRITES = ("save_run", "save_qrels", "per_query", "plots", "table_file", "index")


def repeated(path: Path, trusted: TrustedCode) -> list[Cell]:
    """The results of the command that a folder or a file of results names, made anew.

    Nothing but kept indexes is written. The code of a model runs only by the consent given here,
    whatever the command said.

    Raises:
        UsageError: the file names no command, or one that can't be repeated.
    """
    from eval.cell import read_results
    from eval.reproduction import command_of
    from service.commands.evaluate import score_command

    words = command_of(path)
    if not words:
        raise UsageError(f"{path} does not say what command wrote it; take a file of lsr eval")
    try:
        context = score_command.make_context("eval", list(words))
    except click.ClickException as error:
        raise UsageError(
            f"the command of {path} can't be repeated: {error.format_message()}; it is: lsr eval "
            f"{shlex.join(words)}"
        ) from error
    with TemporaryDirectory() as folder:
        given = context.params
        given |= {name: None for name in WRITES if name in given}
        given |= {"output": Path(folder) / "again", "trusted": trusted, "as_json": True}
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")):
            score_command.invoke(context)
        return read_results(given["output"])
