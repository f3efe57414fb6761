"""The command that makes training pairs of a corpus without queries.

Everything heavier than click is imported inside the command.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsr.errors import UsageError
from service.commands.options import json_option
from service.commands.output_path import output_file

if TYPE_CHECKING:
    from lsr.corpus.documents import Document

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.xz")


@click.command("pairs")
@click.argument("corpus")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    callback=output_file,
    required=True,
    help="The file to write: .jsonl, .jsonl.gz or .jsonl.xz.",
)
@click.option(
    "--kinds",
    metavar="NAMES",
    help="title, heading, span, crop, keywords: some of them with commas between.  [default: all]",
)
@click.option(
    "--per-document",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Spans, crops and keyword queries of each document.",
)
@click.option("--seed", default=0, show_default=True, help="Of what is drawn.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def pairs_command(
    corpus: str,
    output: Path,
    kinds: str | None,
    per_document: int,
    seed: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make training pairs of CORPUS, which is what lsr index takes: a query from each document,
    and what answers it.

    Queries are titles, headings, random spans and crops, and keywords. Items that can't be read
    are reported and skipped, and the exit code is then 1.
    """
    import json
    from typing import IO, cast

    from eval.datasets import named_corpus
    from lsr.corpus.files import UNPACK
    from lsr.train.query_generation import KINDS, QueryGeneration, generate
    from lsr.whole_file import replacing
    from service.commands import terminal

    if not output.name.endswith(ENDINGS):
        raise UsageError(f"{str(output)!r} is of no known kind; files of pairs end in .jsonl, "
                         "plain, .gz or .xz")  # fmt: skip
    if output.exists():
        raise UsageError(f"{output} is there already; delete it, or give another --output")
    names = tuple(KINDS) if kinds is None else tuple(name.strip() for name in kinds.split(","))
    settings = QueryGeneration(kinds=names, per_document=per_document)
    items = named_corpus(corpus)
    rejected = 0

    with terminal.step_progress("making pairs", quiet or as_json) as on_step:

        def documents() -> Iterator[Document]:
            nonlocal rejected
            for number, item in enumerate(items):
                if item.document is None:
                    rejected += 1
                    terminal.print_rejected(f"{item.place}: {item.reason}")
                else:
                    yield item.document
                share = terminal.fraction_read(items)
                if number % 100 == 0 and share is not None:
                    on_step(round(1000 * share), 1000)

        counts: Counter[str] = Counter()
        opener = UNPACK.get(output.suffix.lower(), open)
        with (
            replacing(output) as partial,
            cast(IO[str], opener(partial, "wt", encoding="utf-8")) as stream,
        ):
            for pair in generate(documents(), settings, seed):
                record = {name: getattr(pair, name) for name in pair.__slots__}
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
                counts[pair.kind] += 1
    total = sum(counts.values())
    if as_json:
        terminal.print_json({"output": str(output), "pairs": total, "kinds": dict(counts),
                             "rejected": rejected})  # fmt: skip
    else:
        shown = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        terminal.out.print(f"{output} holds {total:,} pairs" + (f" ({shown})" if shown else ""))
    sys.exit(1 if rejected else 0)
