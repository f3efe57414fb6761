"""The indexes that evaluations keep, each for one corpus, its encoders and its passages."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.datasets import Dataset
from index.collection.collection import Collection, is_collection
from index.collection.field import Field
from index.collection.passage_table import AUTO
from index.collection.schema import VERSION
from index.donors import Donors
from lsr.cache import cache_root
from lsr.encoders.encoder import short_name
from lsr.errors import CorruptionError, LockedError, LsrError
from lsr.whole_file import write_whole

# In the folder of an index that is complete: what it was made of.
NOTE = "evaluation.json"
RATE = "documents_per_second"


@dataclass(frozen=True)
class KeptIndex:
    """An index in the cache.

    ``encoders`` are by field, ``used`` is a moment as of ``time.time``, ``complete`` tells that all
    documents are in it, and ``current`` that this release can read it.
    """

    path: Path
    dataset: str
    encoders: dict[str, str]
    documents: int
    bytes: int
    used: float
    complete: bool
    current: bool

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in self.__dict__.items()
        }


def cache_folder() -> Path:
    """Where collections are kept that can be made again.

    In ``LSR_CACHE``, or else ``lsr`` in the user's cache folder; a folder for each format of
    collections, so that a new release makes its own.
    """
    return cache_root() / f"format-{VERSION}"


def experiment_folder(dataset: Dataset, fields: Sequence[Field], passages: str = AUTO) -> Path:
    """Where the index of an experiment is kept between runs.

    Named by the contents of the corpus, the encoders and the passages: a corpus that has changed
    has another, and two of one name don't share one. Reads the corpus.
    """
    parts = [passages, *((field.name, field.fingerprint) for field in fields)]
    key = repr(parts) + dataset.contents.digest
    digest = hashlib.blake2b(key.encode(), digest_size=8).hexdigest()
    safe = "".join(letter if letter.isalnum() else "-" for letter in dataset.name)[:80]
    return cache_folder() / "eval" / f"{safe}-{digest}"


def note_use(
    collection: Collection, dataset: Dataset, documents_per_second: float | None
) -> float | None:
    """Write into the folder of a complete index what it was made of, and that it is used now.

    Args:
        collection: the index.
        dataset: what is in it.
        documents_per_second: how fast it was made; None: it was there, or made of others.

    Returns:
        How fast it was made once, where that is known.
    """
    if documents_per_second is None:
        kept = _note(collection.path).get(RATE)
        documents_per_second = float(kept) if isinstance(kept, int | float) else None
    note = {
        "dataset": dataset.name,
        "contents": dataset.contents.digest,
        "documents": len(collection),
        "passages": collection.passages,
        "encoders": {field.name: short_name(field.encoder) for field in collection.fields},
        "fingerprints": {field.name: field.fingerprint for field in collection.fields},
        RATE: documents_per_second,
    }
    path = collection.path / NOTE
    write_whole(path, json.dumps(note, indent=1) + "\n")
    os.utime(path)
    return documents_per_second


def is_complete(collection: Collection, dataset: Dataset) -> bool:
    """Whether an index holds the documents of a dataset, no others, and all in its segments."""
    return (
        (collection.path / NOTE).exists()
        and collection.digest() == dataset.contents.digest
        and collection.maintenance.flushed()
    )


@contextmanager
def donors_for(dataset: Dataset, fields: Sequence[Field], folder: Path) -> Iterator[Donors]:
    """Indexes of the same data, or of data of the same name, by one of the same encoders."""
    wanted = {field.fingerprint for field in fields}
    with ExitStack() as stack:
        found = []
        for path in sorted(folder.parent.glob(f"*/{NOTE}")):
            note = _note(path.parent)
            alike = dataset.contents.digest, dataset.name
            same = note.get("contents") == alike[0] or note.get("dataset") == alike[1]
            fingerprints = note.get("fingerprints", {})
            if path.parent == folder or not same or wanted.isdisjoint(fingerprints.values()):
                continue
            # One that can't be read gives nothing.
            with suppress(LsrError):
                found.append(stack.enter_context(closing(Collection.open(path.parent))))
        yield Donors(found)


@contextmanager
def told_of_dataset(dataset: Dataset, folder: Path) -> Iterator[None]:
    """Errors name the data that the user gave, and not the folder of an index nobody named."""
    name = f"the index kept for the data set {dataset.name!r}"
    try:
        yield
    except CorruptionError as error:
        if str(folder) not in str(error):
            raise
        raise CorruptionError(
            f"{name} is damaged; free it with: lsr eval cache {dataset.name} --prune, and run the "
            "same command again"
        ) from error
    except LsrError as error:
        error.args = tuple(
            _renamed(each, folder, name) if isinstance(each, str) else each for each in error.args
        )
        raise


def _renamed(sentence: str, folder: Path, name: str) -> str:
    for spelled in (f"the collection {folder}", f"the collection {folder.name!r}", str(folder)):
        sentence = sentence.replace(spelled, name)
    return sentence


def kept_indexes(names: Sequence[str] = ()) -> list[KeptIndex]:
    """The indexes in the cache, of any release, those of these data sets or of all, by name."""
    found = []
    for folder in sorted(cache_root().glob("format-*/eval/*")):
        if not folder.is_dir():
            continue
        note = _note(folder)
        dataset = str(note.get("dataset") or folder.name.rpartition("-")[0])
        if names and dataset not in names:
            continue
        files = [path for path in folder.rglob("*") if path.is_file()]
        found.append(
            KeptIndex(
                path=folder,
                dataset=dataset,
                encoders=note.get("encoders", {}),
                documents=note.get("documents", 0),
                bytes=sum(path.stat().st_size for path in files),
                used=max((path.stat().st_mtime for path in files), default=0.0),
                complete=bool(note),
                current=folder.parent.parent == cache_folder(),
            )
        )
    return sorted(found, key=lambda kept: (kept.dataset, str(kept.path)))


def prune(kept: Sequence[KeptIndex]) -> tuple[list[KeptIndex], list[str]]:
    """Delete indexes.

    Returns:
        What is gone, and a sentence on each that is being written and stays.
    """
    gone, left = [], []
    for each in kept:
        if _remove(each):
            gone.append(each)
        else:
            left.append(
                f"an index of the data set {each.dataset!r} is being written by another process; "
                "run the same again when that has ended"
            )
    return gone, left


def _remove(kept: KeptIndex) -> bool:
    """Delete an index, unless another process writes to it."""
    if kept.path.is_symlink():
        kept.path.unlink()
        return True
    if kept.current and is_collection(kept.path):
        try:
            collection = Collection.open(kept.path)
        except LsrError:
            pass  # A damaged one is in nobody's use.
        else:
            with closing(collection):
                try:
                    with collection.writing(wait=0):
                        collection.close()
                        shutil.rmtree(kept.path)
                except LockedError:
                    return False
            return True
    shutil.rmtree(kept.path)
    return True


def _note(folder: Path) -> dict[str, Any]:
    """What the folder says of itself; empty where it is not complete, or the note is damaged."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        whole = all(isinstance(note[name], str) for name in ("dataset", "contents", "passages"))
        whole = whole and all(isinstance(note[name], dict) for name in ("encoders", "fingerprints"))
        return note if whole and isinstance(note["documents"], int) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
