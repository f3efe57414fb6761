"""The commands that make training pairs: of a corpus without queries, and more of given ones.

Everything heavier than click is imported inside the commands.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsr.errors import UsageError
from service.commands.options import json_option
from service.commands.output_path import output_file

if TYPE_CHECKING:
    from lsr.chat_answers import KeptAnswers
    from lsr.corpus.documents import Document
    from lsr.train.augmentation import Paraphrase
    from lsr.train.query_generation import GeneratedPair, QueryGeneration

DOCUMENTS_AT_A_TIME = 32
output_option = click.option(
    "--output",
    type=click.Path(path_type=Path),
    callback=output_file,
    required=True,
    help="The file to write: .jsonl, .jsonl.gz or .jsonl.xz.",
)
seed_option = click.option("--seed", default=0, show_default=True, help="Of what is drawn.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")


@click.command("pairs")
@click.argument("corpus")
@output_option
@click.option(
    "--kinds",
    metavar="NAMES",
    help="title, heading, span, crop, keywords, chat: some of them with commas between; chat asks "
    "the endpoint of LSR_CHAT_URL.  [default: all but chat]",
)
@click.option(
    "--per-document",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Spans, crops, keyword and chat queries of each document.",
)
@seed_option
@quiet_option
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

    Queries are titles, headings, random spans and crops, and keywords, and those that a chat
    endpoint writes. Items that can't be read are reported and skipped, and the exit code is then 1.
    """
    from eval.datasets import named_corpus
    from lsr.chat_answers import answers_until_written
    from lsr.train.chat_queries import CHAT
    from lsr.train.pair_files import writing_pairs
    from lsr.train.query_generation import KINDS, QueryGeneration
    from service.commands import terminal

    _check_new(output)
    names = tuple(KINDS) if kinds is None else tuple(name.strip() for name in kinds.split(","))
    drawn = tuple(name for name in names if name != CHAT)
    settings = QueryGeneration(kinds=drawn, per_document=per_document) if drawn else None
    items = named_corpus(corpus)
    rejected = 0

    with terminal.step_progress("making pairs", quiet or as_json) as on_step, ExitStack() as stack:

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
        answers = stack.enter_context(answers_until_written(output)) if CHAT in names else None
        with writing_pairs(output) as write:
            for pair in _generated(documents(), settings, seed, answers, per_document):
                write({name: getattr(pair, name) for name in pair.__slots__})
                counts[pair.kind] += 1
    total = sum(counts.values())
    failed = _say_failed(answers, "documents")
    if as_json:
        report = {"output": str(output), "pairs": total, "kinds": dict(counts),
                  "rejected": rejected}  # fmt: skip
        terminal.print_json(report | ({"unanswered": failed} if answers else {}))
    else:
        shown = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        terminal.out.print(f"{output} holds {total:,} pairs" + (f" ({shown})" if shown else ""))
    sys.exit(1 if rejected or failed else 0)


@click.command("augment")
@click.argument("pairs")
@output_option
@click.option(
    "--by",
    type=click.Choice(["eda", "chat"]),
    default="eda",
    show_default=True,
    help="eda changes, puts in, swaps and leaves out words; chat has the endpoint of LSR_CHAT_URL "
    "paraphrase.",
)
@click.option(
    "--sides",
    type=click.Choice(["both", "query", "positive"]),
    default="both",
    show_default=True,
    help="Which texts of a pair.",
)
@click.option(
    "--copies", default=1, show_default=True, help="Paraphrases of each text, at most 10."
)
@click.option(
    "--sections",
    metavar="HEADINGS",
    help="Only what stands under these headings, with commas between.  [default: all]",
)
@click.option(
    "--alpha", type=float, help="Share of a line's words that eda changes.  [default: 0.1]"
)
@click.option(
    "--synonyms",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Of eda: lines such as car, automobile.  [default: near words of the packaged model]",
)
@seed_option
@quiet_option
@json_option
def augment_command(
    pairs: str,
    output: Path,
    by: str,
    sides: str,
    copies: int,
    sections: str | None,
    alpha: float | None,
    synonyms: Path | None,
    seed: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make more of PAIRS, for matching long texts both ways: their sections in other words.

    PAIRS is a file of pairs or a BEIR folder, as lsr train takes. They are written too, and every
    wording of a query stands with every wording of what answers it.
    """
    from lsr.chat_answers import answers_until_written
    from lsr.train.augmentation import Augmentation, augment, chat_paraphrase
    from lsr.train.pair_files import writing_pairs
    from lsr.train.pairs import read_pairs
    from service.commands import terminal

    _check_new(output)
    if by == "chat" and (alpha is not None or synonyms is not None):
        raise UsageError("--alpha and --synonyms are of --by eda; leave them out, or give that")
    named = tuple(name.strip() for name in sections.split(",")) if sections is not None else ()
    settings = Augmentation(copies, sides, named)
    given = made = 0
    with ExitStack() as stack:
        answers = stack.enter_context(answers_until_written(output)) if by == "chat" else None
        paraphrase = chat_paraphrase(answers, copies) if answers else _easy(alpha, synonyms, seed)
        read = list(read_pairs(pairs, terminal.print_rejected))
        on_step = stack.enter_context(terminal.step_progress("paraphrasing", quiet or as_json))
        write = stack.enter_context(writing_pairs(output))
        for each in augment(read, settings, paraphrase):
            given, made = given + (not each.is_paraphrase), made + each.is_paraphrase
            pair = each.pair
            negatives = {"negatives": list(pair.negatives)} if pair.negatives else {}
            kind = by if each.is_paraphrase else "given"
            write({"query": pair.query, "positive": pair.positive, **negatives, "kind": kind})
            on_step(given, len(read))
    failed = _say_failed(answers, "sections")
    if given and not made:
        why = "has a section of these headings" if named else "was long enough to be changed"
        terminal.print_rejected(f"no paraphrase was made: no text {why}, or nothing changed")
    if as_json:
        report = {"output": str(output), "pairs": given, "paraphrases": made}
        terminal.print_json(report | ({"unanswered": failed} if answers else {}))
    else:
        terminal.out.print(f"{output} holds {given:,} pairs, and {made:,} of them in other words")
    sys.exit(1 if failed else 0)


def _check_new(output: Path) -> None:
    from lsr.train.pair_files import check_ending

    check_ending(output)
    if output.exists():
        raise UsageError(f"{output} is there already; delete it, or give another --output")


def _generated(
    documents: Iterator[Document],
    settings: QueryGeneration | None,
    seed: int,
    answers: KeptAnswers | None,
    per_document: int,
) -> Iterator[GeneratedPair]:
    """The pairs that are drawn, and those of a chat endpoint, some documents at a time."""
    from lsr.train.chat_queries import ask_for_queries
    from lsr.train.query_generation import generate

    while part := list(islice(documents, DOCUMENTS_AT_A_TIME)):
        if settings is not None:
            yield from generate(part, settings, seed)
        if answers is not None:
            yield from ask_for_queries(part, answers, per_document)


def _easy(alpha: float | None, synonyms: Path | None, seed: int) -> Paraphrase:
    from lsr.encoders.packaged import DEFAULT_ENCODER, packaged_checkpoint
    from lsr.train.easy_augmentation import EasyAugmentation
    from lsr.train.synonyms import NearestWords, read_synonyms

    known = (
        NearestWords(packaged_checkpoint(DEFAULT_ENCODER))
        if synonyms is None
        else read_synonyms(synonyms)
    )
    return EasyAugmentation(known, 0.1 if alpha is None else alpha, seed)


def _say_failed(answers: KeptAnswers | None, what: str) -> int:
    """How many prompts got no answer, which is said."""
    from service.commands import terminal

    failed = answers.failed if answers else 0
    if failed:
        terminal.print_rejected(f"the chat endpoint did not answer for {failed:,} {what}")
    return failed
