"""The collection at a place, a directory or an address of Qdrant: what is there, or a new one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from index.collection.collection import Collection, is_collection
from index.collection.field import Field, check_fields, encoder_fields
from index.collection.passage_table import AUTO, OFF
from index.collection.segment_table import SEGMENTS
from index.collection.writable import Writable
from index.qdrant.address import QdrantAddress, is_address
from index.qdrant.collection import QdrantCollection
from lsr.errors import LockedError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.vocabulary import Vocabulary

Place = Path | QdrantAddress


def place_of(text: str | Path) -> Place:
    """What a text names: an address of Qdrant, or else a directory.

    Raises:
        UsageError: it is a malformed address.
    """
    if isinstance(text, str) and is_address(text):
        return QdrantAddress.parse(text)
    return Path(text)


def is_there(place: Place) -> bool:
    """Whether there is a collection at a place.

    Raises:
        UnavailableError: Qdrant can't be asked.
    """
    return is_collection(place) if isinstance(place, Path) else QdrantCollection.is_at(place)


def open_collection(
    place: Place, trusted: TrustedCode = NO_CODE, mapped_in: str | Path | None = None
) -> Collection | QdrantCollection:
    """The collection that is there; ``trusted`` are the models whose Python code may run.

    ``mapped_in`` is as for ``Collection.open``, and says nothing of a collection in Qdrant.

    Raises:
        NotFoundError: there is none.
        CorruptionError: it is damaged, or of an unknown format.
        UnavailableError: Qdrant can't be asked.
        UsageError: there is no folder ``mapped_in``.
    """
    if isinstance(place, Path):
        return Collection.open(place, trusted=trusted, mapped_in=mapped_in)
    return QdrantCollection.open(place, trusted=trusted)


def create_collection(
    place: Place,
    fields: Sequence[Field],
    vocabulary: Vocabulary | None = None,
    trusted: TrustedCode = NO_CODE,
    passages: str = OFF,
) -> Collection | QdrantCollection:
    """A new, empty collection; the arguments are those of ``Collection.create``.

    Raises:
        UsageError: there is one already, or none can be made.
        UnavailableError: Qdrant can't be asked.
    """
    if isinstance(place, Path):
        return Collection.create(
            place, fields, vocabulary=vocabulary, trusted=trusted, passages=passages
        )
    return QdrantCollection.create(place, fields, vocabulary, trusted, passages)


def open_or_create(
    place: Place,
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    trusted: TrustedCode = NO_CODE,
    passages: str | None = None,
    language: str | None = None,
) -> Collection | QdrantCollection:
    """The collection there with the encoders it was built with, or a new one.

    Args:
        place: its directory, of which a new one is made with the folders above it, or its address.
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
        UnavailableError: Qdrant can't be asked.
    """
    if not is_there(place):
        fields = encoder_fields(encoder, dense, bm25, trusted, language)
        return create_collection(place, fields, trusted=trusted, passages=passages or AUTO)
    collection = open_collection(place, trusted)
    if passages not in (None, collection.passages):
        raise UsageError(
            f"{place} was built with passages {collection.passages}, but {passages} was asked for; "
            "leave out --passages to keep it so, or give a new directory"
        )
    if language:
        _check_language(collection, place, language)
    if encoder is not None or dense or bm25:
        name = collection.fields[0].encoder if encoder is None else encoder
        spoken = None if encoder is None else language
        wanted = encoder_fields(name, dense, bm25, trusted, spoken)
        check_fields(place, collection.fields, wanted, exactly=encoder is not None)
    return collection


def _check_language(collection: Writable, place: Place, language: str) -> None:
    field = collection.fields[0]
    built = collection.fields.encoder(field).words_by if field.open else ""
    if language != built:
        has = f"makes words by the analyzer {built}" if built else "has no words"
        raise UsageError(
            f"{place} {has}, but --language {language} was asked for; leave it out to "
            "keep it so, or give a new directory"
        )


@contextmanager
def gone_if_unused(place: Place) -> Iterator[None]:
    """Leave no new collection at a place where what is done inside fails before it has documents.

    A collection that is there beforehand stays, and so does one that another process writes to.
    """
    new, made = not is_there(place), isinstance(place, Path) and not place.exists()
    try:
        yield
    except BaseException:
        if new and is_there(place):
            remove_unused(place, made)
        raise


def remove_unused(place: Place, folder: bool) -> None:
    """Remove the collection at a place, and its folder too if asked, unless it has documents."""
    collection = open_collection(place)
    if not isinstance(place, Path):
        is_empty = len(collection) == 0
        collection.close()
        if is_empty:
            QdrantCollection.remove(place)
        return
    with suppress(LockedError), collection.writing():
        if len(collection):
            return
        collection.close()
        if folder:
            shutil.rmtree(place)
            return
        shutil.rmtree(place / SEGMENTS, ignore_errors=True)
        for pattern in ("collection.sqlite*", "collection.commits*", "*.lock", "writer.turn"):
            for file in place.glob(pattern):
                file.unlink()
