"""The command line: every command in one group, and what a failure looks like."""

from __future__ import annotations

import io
import logging
import os
import sys

import click

from lsr.errors import InputError, LsrError, UsageError
from service.commands.adapt import adapt_command
from service.commands.arena import arena_command
from service.commands.bench import bench_command
from service.commands.datasets import datasets_command
from service.commands.delete import delete_command
from service.commands.demo import demo_command
from service.commands.dimensions import dimensions_command
from service.commands.encode import encode_command
from service.commands.eval_group import eval_command
from service.commands.index import index_command
from service.commands.info import info_command
from service.commands.judge import judge_command
from service.commands.keys import key_command
from service.commands.lucene import lucene_command
from service.commands.maintenance import (
    check_command,
    migrate_command,
    restore_command,
    snapshot_command,
)
from service.commands.mcp import mcp_command
from service.commands.models import models_command
from service.commands.pairs import augment_command, pairs_command
from service.commands.push import push_command
from service.commands.search import search_command
from service.commands.serve import serve_command
from service.commands.train import train_command
from service.commands.tune import tune_command
from service.commands.vectors import export_command, import_command, merge_command

COMMANDS = (
    index_command,
    delete_command,
    dimensions_command,
    search_command,
    serve_command,
    mcp_command,
    key_command,
    demo_command,
    info_command,
    eval_command,
    datasets_command,
    judge_command,
    tune_command,
    train_command,
    adapt_command,
    pairs_command,
    augment_command,
    models_command,
    bench_command,
    arena_command,
    lucene_command,
    encode_command,
    import_command,
    merge_command,
    export_command,
    check_command,
    snapshot_command,
    restore_command,
    migrate_command,
    push_command,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="lsr-search", prog_name="lsr")
def cli() -> None:
    """Learned sparse retrieval: index a corpus, search it, serve it, and score it."""


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run a command; every foreseen failure is one sentence on standard error.

    Exit codes: 0 done, 1 the run failed or some items were rejected, 2 wrong usage.
    """
    import sqlite3

    _replace_what_cannot_be_shown()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted; run the same command again to go on", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except LsrError as error:
        _fail(str(error), 2 if isinstance(error, UsageError | InputError) else 1)
    except OSError as error:
        _fail(_told(error), 1)
    except sqlite3.Error as error:
        _fail(f"{error}", 1)


def _replace_what_cannot_be_shown() -> None:
    """Let no character that the encoding of an output lacks end a command."""
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _told(error: OSError) -> str:
    """What the system refused, and where, in words."""
    if error.filename is None or error.strerror is None:
        return str(error)
    paths = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
    named = " or ".join(repr(path) for path in paths)
    return f"{named} can't be used ({error.strerror}); see that the path is right and may be used"


def _fail(sentence: str, code: int) -> None:
    print(f"Error: {sentence}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
