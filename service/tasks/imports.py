"""Documents of files and addresses, brought into an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from index.indexing import index_documents
from lsr.corpus.items import Item
from lsr.corpus.readers.corpus import Corpus, Reading
from lsr.encoding.progress import Progress, Totals
from lsr.errors import InputError
from service.tasks.run import Run
from service.tasks.sources import allowed_path, check_size, download, is_url

MOST_PROBLEMS = 100
LONGEST_PROBLEM = 300
READING = ("id_field", "title_field", "text_field", "columns", "include", "exclude")


def reading_of(parameters: dict[str, Any]) -> Reading:
    """How the source is read, as the options of ``lsr index`` say it."""
    return Reading.of(**{name: parameters[name] for name in READING if parameters.get(name)})


def import_documents(run: Run) -> dict[str, Any]:
    """Index the documents of ``source``; what is there already is not encoded again."""
    source = str(run.parameters["source"])
    with closing(run.open()) as collection:
        if is_url(source):
            folder = run.places.building(run.task.id)
            path = download(source, folder, run.settings, lambda done: run.step(done, None))
        else:
            path = allowed_path(source, run.settings)
            check_size(path, run.settings.largest_import)
        corpus = Corpus(str(path), reading_of(dict(run.parameters)))
        told = _Told(run, corpus, path)
        items = _bounded(corpus, run.settings.largest_import)
        report = index_documents(collection, items, told)
        return {
            "documents": len(collection),
            "created": report.created,
            "updated": report.updated,
            "unchanged": report.unchanged,
            "rejected": report.rejected,
            "split": report.split,
            "passages": report.passages,
            "cut": report.cut,
            "passed_over": corpus.passed_over.sentence(),
            "problems": told.problems,
        }


def _bounded(items: Iterable[Item], largest: int) -> Iterator[Item]:
    """The items, as long as their texts have no more bytes than are allowed."""
    left = largest
    for item in items:
        if item.document is not None:
            left -= len(item.document.text.encode())
        if left < 0:
            raise InputError(
                f"the texts have more than the {largest} bytes that this server imports at once; "
                "those before are imported"
            )
        yield item


class _Told(Progress):
    """Tells how far the import is, and keeps the first of what was left out."""

    def __init__(self, run: Run, corpus: Corpus, path: Path) -> None:
        self._run, self._corpus = run, corpus
        self._folder = f"{path.parent}/"
        self.problems: list[str] = []

    def chunk(self, totals: Totals) -> None:
        """As many items as are done with, of as many as there may be by the bytes read so far."""
        share = self._corpus.fraction
        self._run.step(totals.read, round(totals.taken / share) if share else None)

    def rejected(self, sentence: str) -> None:
        """Keep it, if it is among the first."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(sentence.replace(self._folder, "")[:LONGEST_PROBLEM])
