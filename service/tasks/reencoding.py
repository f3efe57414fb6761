"""An index with other encoders: made beside the one that is served, and put in its place."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

from index.collection.collection import Collection, is_collection
from index.collection.writable import Writable
from index.opening import open_or_create
from index.reencoding import Reencoding
from lsr.encoding.progress import Progress, Totals
from lsr.errors import InputError
from service.tasks.run import Run

# So few new documents are encoded while writers wait.
FEW = 256


def reencode(run: Run) -> dict[str, Any]:
    """Encode all documents of an index by other encoders; ``encoder`` ... as for a new index.

    The index is searched and written meanwhile. What is written is caught up with: the last of it
    while writers wait, and then the new collection takes the place of the old.
    """
    places = run.places
    made = places.building(run.task.id) / "new"
    if (result := run.was_put(made)) is not None:
        return dict(result)
    with closing(run.open_directory()) as old:
        new = _opened(run, made, old.passages)
        copy = Reencoding(old, new, _Steps(run, old))
        copy.check_texts()
        while copy.behind() > FEW:
            copy.catch_up()
        with run.at_rest(old.path):
            copy.catch_up()
            result = {"documents": len(new), "encoded": copy.encoded}
            new.close()
            run.put(made, result, replace=True)
    return result


def _opened(run: Run, made: Path, passages: str) -> Writable:
    """The new collection; the one that a process before this one began, where it can be read."""
    parameters = dict(run.parameters)
    wanted = {"passages": passages} | {
        name: parameters[name]
        for name in ("encoder", "dense", "bm25", "language", "passages")
        if parameters[name] is not None
    }
    if made.exists() and not is_collection(made):
        shutil.rmtree(made)
    return open_or_create(made, trusted=run.trusted, **wanted)


class _Steps(Progress):
    def __init__(self, run: Run, old: Collection) -> None:
        self._run, self._old = run, old

    def chunk(self, totals: Totals) -> None:
        """Tell how many are done with."""
        self._run.step(totals.read, len(self._old))

    def rejected(self, sentence: str) -> None:
        """Nothing is left out: the old index stays as it is."""
        raise InputError(f"a document can't be encoded, so the index stays as it is: {sentence}")
