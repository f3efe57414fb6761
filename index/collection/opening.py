"""The collection at a path: the one that is there, or a new one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from index.collection.collection import Collection, is_collection
from index.collection.field import check_fields, encoder_fields
from index.collection.passage_table import AUTO
from lsr.errors import LockedError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode


def open_or_create(
    path: Path,
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    trusted: TrustedCode = NO_CODE,
    passages: str | None = None,
    language: str | None = None,
) -> Collection:
    """The collection there with the encoders it was built with, or a new one.

    Args:
        path: its directory; a new one is made with the folders above it.
        encoder: name of the sparse encoder; None: the one it was built with, or for a new
            collection the one that ships with lsr.
        dense: name of a dense encoder beside it.
        bm25: whether a BM25 field stands beside a learned encoder.
        trusted: the models whose Python code may run.
        passages: "auto" to split documents that an encoder doesn't read to the end, or "off";
            None: as the collection does, or for a new one "auto".
        language: name of the analyser that makes the words of the sparse encoder; None: that of
            its name, or its default.

    Raises:
        EncoderMismatchError: the collection there has other encoders than are asked for.
        NotFoundError: there is no such encoder.
        UsageError: no collection can be created there, an encoder's code is not trusted, or the
            collection there splits documents, or makes words, otherwise than asked for.
    """
    if not is_collection(path):
        fields = encoder_fields(encoder, dense, bm25, trusted, language)
        return Collection.create(path, fields, trusted=trusted, passages=passages or AUTO)
    collection = Collection.open(path, trusted=trusted)
    if passages not in (None, collection.passages):
        raise UsageError(
            f"{path} was built with passages {collection.passages}, but {passages} was asked for; "
            "leave out --passages to keep it so, or give a new directory"
        )
    if language:
        _check_language(collection, language)
    if encoder is not None or dense or bm25:
        name = collection.fields[0].encoder if encoder is None else encoder
        spoken = None if encoder is None else language
        wanted = encoder_fields(name, dense, bm25, trusted, spoken)
        check_fields(path, collection.fields, wanted, exactly=encoder is not None)
    return collection


def _check_language(collection: Collection, language: str) -> None:
    field = collection.fields[0]
    built = collection.fields.encoder(field).words_by if field.open else ""
    if language != built:
        has = f"makes words by the analyzer {built}" if built else "has no words"
        raise UsageError(
            f"{collection.path} {has}, but --language {language} was asked for; leave it out to "
            "keep it so, or give a new directory"
        )


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
