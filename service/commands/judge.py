"""``lsr judge``."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from lsr.errors import InputError, UsageError
from service.commands.options import trust_option

if TYPE_CHECKING:
    from eval.datasets import Dataset
    from eval.pooling import JudgementFile
    from eval.run import Run
    from lsr.corpus.documents import Document
    from lsr.trusted_code import TrustedCode

PATH = click.Path(path_type=Path)
# Letters of a text that are shown before all of it is asked for.
SHOWN = 700
KEYS = (
    "0 not relevant, 1 related, 2 relevant, 3 just what is asked; m more of the text, s skip, "
    "n next query, u undo, q quit"
)


@click.command("judge")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--encoder", "encoders", multiple=True, metavar="NAME", help="As for lsr eval; repeatable."
)
@click.option("--run", "runs", type=PATH, multiple=True, help="Pool a TREC run too; repeatable.")
@click.option(
    "--queries", metavar="FILE", help="The queries.  [default: queries.jsonl of the folder]"
)
@click.option(
    "--qrels", type=PATH, metavar="FILE",
    help="Where judgements go, and are gone on with.  [default: qrels/test.tsv of the folder]",
)  # fmt: skip
@click.option(
    "--depth", default=10, show_default=True, type=click.IntRange(1, 1000),
    help="Results of each system that are pooled.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="Judge only so many of the queries.")
@trust_option
def judge_command(
    folder: Path,
    encoders: Sequence[str],
    runs: Sequence[Path],
    queries: str | None,
    qrels: Path | None,
    depth: int,
    limit: int | None,
    trusted: TrustedCode,
) -> None:
    """Judge what several systems find in FOLDER, a corpus with queries, and write qrels.

    The first results of all systems are shown one by one, without saying whose they are. Each
    answer is kept at once; the same command goes on where the last one ended.
    """
    from eval.datasets import load_unjudged
    from eval.pooling import JudgementFile, pool
    from service.commands import terminal

    if not encoders and not runs:
        raise UsageError("name the systems whose results are pooled: --encoder NAME, --run FILE")
    dataset = load_unjudged(folder, queries, limit)
    answers = JudgementFile(qrels or folder / "qrels" / "test.tsv")
    found = _rankings(dataset, encoders, runs, depth, trusted)
    pools = pool(found, [query.id for query in dataset.queries], depth)
    answers.check_ids(pools)
    texts = {query.id: query.text for query in dataset.queries}
    documents = _documents(dataset, pools)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    _ask(pools, texts, documents, answers, sys.stdin)
    judged = sum(
        any(answers.grade(query, each) is not None for each in own) for query, own in pools.items()
    )
    left = sum(answers.grade(query, each) is None for query, own in pools.items() for each in own)
    terminal.out.print(
        f"\n{judged} of {len(pools)} queries judged, {len(answers)} judgements in {answers.path}"
        + (f", {left} to go: run the same command again" if left else ""),
        markup=False,
    )


def _rankings(
    dataset: Dataset,
    encoders: Sequence[str],
    runs: Sequence[Path],
    depth: int,
    trusted: TrustedCode,
) -> list[Run]:
    from eval.experiment import evaluate_dataset
    from eval.run import read_run, without_self
    from service.commands.evaluate import evaluation_progress

    found: list[Run] = []
    for encoder in encoders:
        cells = evaluate_dataset(
            dataset, encoder, depth=depth, progress=evaluation_progress(), trusted=trusted
        )
        found += [cell.run for cell in cells]
    for path in runs:
        run = read_run(path)
        found.append(without_self(run) if dataset.drops_self else run)
    return found


def _documents(dataset: Dataset, pools: Mapping[str, Sequence[str]]) -> dict[str, Document]:
    """The documents of the pools, of which a run may name some that are not there."""
    wanted = {document for own in pools.values() for document in own}
    found = {
        item.document.id: item.document
        for item in dataset.corpus()
        if item.document is not None and item.document.id in wanted
    }
    missing = sorted(wanted - found.keys())
    if missing:
        raise InputError(
            f"{len(missing)} documents of the runs are not in the corpus, such as {missing[0]!r}; "
            "give runs over this corpus"
        )
    return found


def _ask(
    pools: Mapping[str, Sequence[str]],
    texts: Mapping[str, str],
    documents: Mapping[str, Document],
    answers: JudgementFile,
    stdin: TextIO,
) -> None:
    """Show what is not judged yet and keep what is answered, until all is or nobody answers."""
    from eval.pooling import GRADES

    given: list[tuple[int, str, str]] = []
    open_pairs = [
        (query, document)
        for query, own in pools.items()
        for document in own
        if answers.grade(query, document) is None
    ]
    place, shown_query = 0, ""
    while place < len(open_pairs):
        query, document = open_pairs[place]
        if query != shown_query:
            number = list(pools).index(query) + 1
            _say(f"\nQuery {number} of {len(pools)}: {texts[query]}\n({KEYS})")
            shown_query = query
        rest = sum(each == query for each, _ in open_pairs[place:])
        _show(documents[document], rest, SHOWN)
        key = _answer(stdin)
        while key == "m":
            _show(documents[document], rest, None)
            key = _answer(stdin)
        if key in (None, "q"):
            return
        if key == "u":
            if not given:
                _say("nothing to undo")
                continue
            place, *last = given.pop()
            answers.take_back(*last)
            shown_query = ""
        elif key == "s":
            place += 1
        elif key == "n":
            place += rest
        elif key in map(str, GRADES):
            answers.judge(query, document, int(key))
            given.append((place, query, document))
            place += 1
        else:
            _say(f"{key!r} is no answer; {KEYS}")


def _answer(stdin: TextIO) -> str | None:
    """One line in lower case, None at the end of the input."""
    sys.stdout.write("> ")
    sys.stdout.flush()
    line = stdin.readline()
    return line.strip().lower() if line else None


def _show(document: Document, rest: int, letters: int | None) -> None:
    text = document.text if letters is None else document.text[:letters]
    cut = "" if letters is None or len(document.text) <= letters else " ... (m: more)"
    title = f"{document.title}\n" if document.title else ""
    _say(f"\n[{rest} to judge] {document.id}\n{title}{text}{cut}")


def _say(text: str) -> None:
    """Print a text of anybody's, without the characters that steer a terminal."""
    from service.commands import terminal

    visible = "".join(each if each.isprintable() or each == "\n" else " " for each in text)
    terminal.out.print(visible, markup=False)
