"""What the command line shows: progress, hits, tables."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from lsr.encoding.progress import Progress as RunProgress
from lsr.encoding.progress import Totals

if TYPE_CHECKING:
    from index.importing import ImportReport
    from index.indexing import IndexReport
    from lsr.corpus.items import Item
    from lsr.corpus.readers.passed_over import PassedOver
    from lsr.encoding.health import Health
    from lsr.encoding.runs import EncodeReport
    from lsr.train.dense_terms.run import DenseTermsReport
    from lsr.train.reranker.run import CrossEncoderReport
    from lsr.train.run import TrainingReport
    from lsr.train.spar.run import SparReport
    from lsr.train.training_log import Entry

TERMS_SHOWN = 6
# Of those that no document has.
SHOWN_WORDS = 5
PIPE_WIDTH = 200
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def program() -> str:
    """How to type the name of this program so that the shell finds it."""
    path = Path(sys.argv[0])
    if path.suffix == ".py":
        return f"{shlex.quote(sys.executable)} -m service.cli"
    found = shutil.which(path.name)
    same = found is not None and Path(found).resolve() == path.resolve()
    return path.name if same else shlex.quote(sys.argv[0])


def print_json(value: object) -> None:
    """One JSON value on standard output, escaped where its encoding lacks a character."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    print(text)


def fraction_read(items: Iterable[Item]) -> float | None:
    """How much of a corpus is read, from 0 to 1; None where that can't be known."""
    fraction: float | None = getattr(items, "fraction", None)
    return fraction


def passed_over(items: Iterable[Item]) -> str:
    """What of a folder was not read, in one line; empty where that is nothing."""
    found: PassedOver | None = getattr(items, "passed_over", None)
    return found.sentence() if found else ""


class IndexingProgress(RunProgress):
    """Moves a bar, and says on standard error what is rejected and how encoders' vectors look.

    ``fraction`` tells how much of the source is read; ``sentences`` counts what was rejected.
    """

    def __init__(self, bar: Progress, task: TaskID, fraction: Callable[[], float | None]) -> None:
        self._bar, self._task, self._fraction = bar, task, fraction
        self.sentences = 0

    def chunk(self, totals: Totals) -> None:
        """Move the bar."""
        taken = self._fraction()
        # Some of what was taken is still being encoded.
        done = None if taken is None else taken * totals.read / max(totals.taken, 1)
        self._bar.update(
            self._task,
            total=None if done is None else 1.0,
            completed=done or 0.0,
            documents=totals.read,
            rate=totals.read / max(totals.seconds, 1e-9),
            tokens=totals.tokens / max(totals.seconds, 1e-9),
        )

    def rejected(self, sentence: str) -> None:
        """Say it."""
        self.sentences += 1
        print_rejected(sentence)

    def health(self, name: str, health: Health) -> None:
        """Say what an encoder's first vectors look like, and what looks wrong there."""
        err.print(f"{name}: {health.sentence()}", markup=False)
        if health.warning:
            err.print(f"Warning: {health.warning}", markup=False)


@contextmanager
def indexing_progress(
    fraction: Callable[[], float | None], label: str, quiet: bool
) -> Iterator[IndexingProgress]:
    """A bar with documents and tokens per second, and time left; see IndexingProgress."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[documents]:,} documents"),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TextColumn("{task.fields[tokens]:,.0f} tokens/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=err, disable=quiet or not err.is_terminal, transient=True
    ) as progress:
        task = progress.add_task(label, total=None, documents=0, rate=0.0, tokens=0.0)
        yield IndexingProgress(progress, task, fraction)


@contextmanager
def query_progress(total: int, label: str, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar over test queries; yields what takes the number done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} queries"),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=err, disable=quiet or not err.is_terminal, transient=True
    ) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def tuning_progress(quiet: bool) -> Iterator[Callable[[int, str], None]]:
    """A line that counts; takes a number and what it is of."""
    columns = (TextColumn("{task.completed:,.0f} {task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=err, disable=quiet or not err.is_terminal, transient=True
    ) as progress:
        task = progress.add_task("settings tried", total=None)
        yield lambda done, label: progress.update(task, completed=done, description=label)


@contextmanager
def step_progress(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar; yields what takes the steps done and their total."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=err, disable=quiet or not err.is_terminal, transient=True
    ) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def training_progress(
    quiet: bool,
) -> Iterator[tuple[Callable[[Entry, int], None], Callable[[str, int, int], None]]]:
    """A bar for the steps, and one for what goes before; yields what takes their progress."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=err, disable=quiet or not err.is_terminal, transient=True
    ) as progress:
        tasks: dict[str, Any] = {}

        def on_progress(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total, numbers="")
            progress.update(tasks[what], completed=done, total=total, visible=done < total)

        def on_step(entry: Entry, steps: int) -> None:
            measured = {"loss": entry.loss, "nnz": entry.nnz.get("document")} | dict(entry.measures)
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in measured.items() if value)
            on_progress("training", entry.step, steps)
            progress.update(tasks["training"], numbers=numbers)
            if entry.measures and not quiet:
                err.print(f"step {entry.step}: {numbers}", markup=False)

        yield on_step, on_progress


def print_rejected(sentence: str) -> None:
    """An item that can't be used, on standard error."""
    err.print(sentence, markup=False)


def print_training_report(report: TrainingReport) -> None:
    """What a training did, in one line, and how to use the result."""
    nnz = report.last.nnz.get("document", 0.0)
    out.print(
        f"{report.steps:,} steps in {report.seconds:,.0f} s; {nnz:.0f} terms a document; the plot "
        f"is {report.plot}; use the encoder with --encoder {shlex.quote(report.encoder)}",
        markup=False,
    )
    if report.missed:
        err.print(f"Warning: {report.missed}", markup=False)


def print_dense_terms_report(report: DenseTermsReport) -> None:
    """What a making of dense terms did, in one line, and how to use the result."""
    cosine = report.last.measures.get("cosine")
    reached = "" if cosine is None else f"; held-out queries reach a cosine of {cosine:.3f}"
    taught = report.student.measures.get("cosine") if report.student else None
    reached += "" if taught is None else f", held-out documents of the student {taught:.3f}"
    out.print(
        f"{report.steps:,} steps in {report.seconds:,.0f} s{reached}; the plot is {report.plot}; "
        f"use the encoder with --encoder {shlex.quote(report.encoder)}",
        markup=False,
    )


def print_spar_report(report: SparReport) -> None:
    """What a training of Lambda did, in one line, and how to use the result."""
    out.print(
        f"{report.steps:,} steps in {report.seconds:,.0f} s; the plot is {report.plot}; Lambda is "
        f"{report.model}; use it beside a dense encoder with --dense "
        f"{shlex.quote(f'MODEL+{report.model}')},weight=1.0, and --dense-weight tuned on queries "
        "of yours; lsr eval --dense LAMBDA --against sparse says how well it imitates",
        markup=False,
    )


def print_cross_encoder_report(report: CrossEncoderReport) -> None:
    """What a training of a cross-encoder did, in one line, and how to use the result."""
    out.print(
        f"{report.steps:,} steps in {report.seconds:,.0f} s; the plot is {report.plot}; the "
        f"cross-encoder is {report.model}; re-rank with it by --rerank "
        f"{shlex.quote(str(report.model))}",
        markup=False,
    )


def print_index_report(report: IndexReport, total: int, target: str) -> None:
    """What an indexing run did, in one line, and what of a folder it passed over, in another."""
    rate = report.encoded / max(report.seconds, 1e-9)
    parts = [f"{report.encoded:,} documents encoded ({rate:,.0f}/s)"]
    if report.unchanged:
        parts.append(f"{report.unchanged:,} unchanged")
    if report.rejected:
        parts.append(f"{report.rejected:,} rejected")
    if report.deleted:
        parts.append(f"{report.deleted:,} deleted")
    out.print(
        f"{', '.join(parts)} in {report.seconds:.1f} s; {target} holds {total:,} documents",
        markup=False,
    )
    if report.split:
        what = "long document was" if report.split == 1 else "long documents were"
        out.print(f"{report.split:,} {what} split into {report.passages:,} passages", markup=False)
    if report.cut:
        what = "document is" if report.cut == 1 else "documents are"
        out.print(
            f"{report.cut:,} {what} longer than the encoder reads and not split, so its model "
            "sees only their beginning",
            markup=False,
        )
    if passed_over := report.passed_over.sentence():
        out.print(passed_over, markup=False)


def index_json(report: IndexReport, total: int, target: str) -> dict[str, Any]:
    """What an indexing run did, as JSON."""
    counts = {name: getattr(report, name) for name in ("created", "updated", "unchanged")}
    return {
        "collection": target,
        "documents": total,
        **counts,
        "rejected": report.rejected,
        "deleted": report.deleted,
        "split": report.split,
        "passages": report.passages,
        "cut": report.cut,
        "seconds": round(report.seconds, 3),
        "tokens": report.tokens,
        "health": {name: asdict(health) for name, health in report.health.items()},
        **report.passed_over.as_json(),
    }


def print_deleted(
    deleted: int, missing: Sequence[str], dry_run: bool, total: int, target: str
) -> None:
    """What was deleted or would be, in one line; each id that is not there on standard error."""
    for identifier in missing:
        err.print(f"there is no document {identifier!r}", markup=False)
    noun = "document" if deleted == 1 else "documents"
    what = f"{deleted:,} {noun} {'would be ' if dry_run else ''}deleted"
    out.print(f"{what}; {target} holds {total:,} documents", markup=False)


def print_encode_report(report: EncodeReport, target: str, notes: Sequence[str]) -> None:
    """What a run that wrote vectors did, in one line, and one for each note on the file."""
    written = report.encoded + report.kept
    rate = report.encoded / max(report.seconds, 1e-9)
    parts = [f"{report.encoded:,} vectors written ({rate:,.0f}/s)"]
    if report.kept:
        parts.append(f"{report.kept:,} kept")
    if report.rejected:
        parts.append(f"{report.rejected:,} rejected")
    line = f"{', '.join(parts)} in {report.seconds:.1f} s; {target} holds {written:,}"
    for text in (line, *notes):
        out.print(text, markup=False)


def print_import_report(report: ImportReport, total: int, target: str) -> None:
    """What an import did, in one line, and one for each thing that a user should know."""
    counts = [
        f"{getattr(report.index, name):,} {name}"
        for name in ("created", "updated", "unchanged", "rejected")
        if getattr(report.index, name) or name == "created"
    ]
    out.print(
        f"{', '.join(counts)} in {report.index.seconds:.1f} s; {target} holds {total:,} documents",
        markup=False,
    )
    if report.without_text:
        out.print(f"{report.without_text:,} vectors have no document in the corpus of --documents")
    if report.new_tokens:
        out.print(f"tokens new to the vocabulary: {report.new_tokens:,}")
    if report.zero:
        out.print(f"weights of 0, left out: {report.zero:,}")
    if report.cut:
        out.print(f"{report.cut:,} weights were above 65,504 and are cut to that")
    if passed_over := report.index.passed_over.sentence():
        out.print(passed_over, markup=False)


def print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, str],
    whole: Sequence[str] = (),
    right: Sequence[str] = (),
) -> None:
    """A table; ``columns`` maps the key in a row to its heading. Numbers and ``right`` stand right.

    Where the output is no terminal, the columns ``whole`` are never broken into lines.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key, heading in columns.items():
        numeric = key in right or (bool(rows) and not isinstance(rows[0][key], str))
        justify: Literal["left", "right"] = "right" if numeric else "left"
        unbroken = numeric or (key in whole and not out.is_terminal)
        table.add_column(heading, justify=justify, no_wrap=unbroken, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in columns))
    out.print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
