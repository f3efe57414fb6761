"""The collection at a path: the one that is there, or a new one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from index.collection.collection import Collection, is_collection
from index.collection.field import check_fields, encoder_fields
from lsr.errors import LockedError
from lsr.trusted_code import NO_CODE, TrustedCode


def open_or_create(
    path: Path,
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    trusted: TrustedCode = NO_CODE,
) -> Collection:
    """The collection there with the encoders it was built with, or a new one.

    Args:
        path: its directory; a new one is made with the folders above it.
        encoder: name of the sparse encoder; None: the one it was built with, or for a new
            collection the one that ships with lsr.
        dense: name of a dense encoder beside it.
        bm25: whether a BM25 field stands beside a learned encoder.
        trusted: the models whose Python code may run.

    Raises:
        EncoderMismatchError: the collection there has other encoders than are asked for.
        NotFoundError: there is no such encoder.
        UsageError: no collection can be created there, or an encoder's code is not trusted.
    """
    if not is_collection(path):
        fields = encoder_fields(encoder, dense, bm25, trusted)
        return Collection.create(path, fields, trusted=trusted)
    collection = Collection.open(path, trusted=trusted)
    if encoder or dense or bm25:
        wanted = encoder_fields(encoder or collection.fields[0].encoder, dense, bm25, trusted)
        check_fields(path, collection.fields, wanted, exactly=bool(encoder))
    return collection


@contextmanager
def gone_if_unused(path: Path) -> Iterator[None]:
    """Leave no new collection at a path where what is done inside fails before it has documents.

    A collection that is there beforehand stays, and so does one that another process writes to.
    """
    new, made = not is_collection(path), not path.exists()
    try:
        yield
    except BaseException:
        if new and is_collection(path):
            remove_unused(path, made)
        raise


def remove_unused(path: Path, folder: bool) -> None:
    """Remove the collection at a path, and its folder too if asked, unless it has documents."""
    collection = Collection.open(path)
    with suppress(LockedError), collection.writing():
        if len(collection):
            return
        collection.close()
        if folder:
            shutil.rmtree(path)
            return
        shutil.rmtree(path / "segments", ignore_errors=True)
        for pattern in ("collection.sqlite*", "collection.commits*", "*.lock", "writer.turn"):
            for file in path.glob(pattern):
                file.unlink()
