"""What a shard of vectors says of itself, and the digests that prove it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsr.corpus.shard import Shard
from lsr.errors import CorruptionError, InputError, UsageError

MANIFEST = "manifest.json"
VECTORS, DOCUMENTS = "vectors.safetensors", "documents.jsonl.gz"
CHUNKS, CHUNK_WORDS = "chunks", "chunk_words"
FILES = (VECTORS, DOCUMENTS, CHUNKS, CHUNK_WORDS)
FORMAT, VERSION = "lsr-shard", 1
LARGEST_MANIFEST = 1 << 16


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Size of a file in bytes, and its BLAKE2b digest of 32 bytes, hexadecimal."""

    bytes: int
    blake2b: str

    @classmethod
    def of(cls, path: Path) -> FileDigest:
        """Of a file as it is on disk."""
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, _blake2b).hexdigest())


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a shard.

    Args:
        shard: which part of the corpus it is.
        chunk: items in a chunk.
        encoder: name of what made the vectors.
        fingerprint: of that encoder.
        vocabulary: digest of its closed vocabulary.
        terms: how many terms that has; term ids from there on are words of the shard.
        corpus: digest of the documents of the whole corpus, in their order.
        items: how many items the whole corpus has, those included that are no document.
        documents: how many documents, each with a vector, are in the shard.
        ids: digest of their ids, in their order.
        files: the digest of each of ``FILES``.
    """

    shard: Shard
    chunk: int
    encoder: str
    fingerprint: str
    vocabulary: str
    terms: int
    corpus: str
    items: int
    documents: int
    ids: str
    files: Mapping[str, FileDigest]

    @property
    def rejected(self) -> int:
        """Items of its chunks that are no document of it."""
        return self.shard.items(self.items, self.chunk) - self.documents

    def text(self) -> str:
        """As JSON, with a digest of all the rest."""
        written = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(written | {"digest": _digest(written)}, indent=2) + "\n"

    @property
    def digest(self) -> str:
        """Changes with every byte of the shard."""
        return str(json.loads(self.text())["digest"])

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """That of a shard.

        Raises:
            CorruptionError: it is damaged, or no manifest.
            UsageError: another release wrote it.
        """
        path = folder / MANIFEST
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST_MANIFEST + 1)
            written = json.loads(data) if len(data) <= LARGEST_MANIFEST else None
        except (ValueError, RecursionError):
            written = None
        except OSError as error:
            raise damaged(folder, f"{MANIFEST} can't be read ({error.strerror})") from None
        if not isinstance(written, dict) or written.get("format") != FORMAT:
            raise damaged(folder, f"{MANIFEST} is no manifest of a shard")
        if written.get("version") != VERSION:
            raise UsageError(
                f"the shard {folder} has format version {written.get('version')!r} and this "
                f"release reads {VERSION}; use the release that wrote it"
            )
        if written.pop("digest", None) != _digest(written):
            raise damaged(folder, f"{MANIFEST} doesn't fit its own digest")
        del written["format"], written["version"]
        return cls._checked(folder, written)

    @classmethod
    def _checked(cls, folder: Path, written: dict[str, Any]) -> Manifest:
        try:
            shard = Shard(**_typed(written.pop("shard"), {"number": int, "of": int}))
            files = {
                name: FileDigest(**_typed(entry, {"bytes": int, "blake2b": str}))
                for name, entry in written.pop("files").items()
            }
            made = cls(shard=shard, files=files, **_typed(written, PLAIN))
            if set(files) != set(FILES) or min(made.terms, made.items, made.documents) < 0:
                raise InputError("a value is out of range")
            if made.chunk < 1 or made.rejected < 0:
                raise InputError("it has more documents than items")
        except (InputError, UsageError, KeyError, TypeError, AttributeError) as error:
            raise damaged(folder, f"{MANIFEST} is no manifest of a shard ({error})") from None
        return made


PLAIN: dict[str, type] = {
    "chunk": int,
    "encoder": str,
    "fingerprint": str,
    "vocabulary": str,
    "terms": int,
    "corpus": str,
    "items": int,
    "documents": int,
    "ids": str,
}


def _typed(value: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    """An object that has exactly these members, of these types."""
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        raise InputError(f"its members are not {', '.join(kinds)}")
    for name, kind in kinds.items():
        if type(value[name]) is not kind:
            raise InputError(f"{name!r} is no {kind.__name__}")
    return value


def _digest(written: Mapping[str, Any]) -> str:
    data = json.dumps(written, sort_keys=True).encode()
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _blake2b() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=32)


def damaged(folder: Path, reason: str) -> CorruptionError:
    """Of a shard that can't be used."""
    return CorruptionError(
        f"the shard {folder} is damaged: {reason}; copy it again, or delete it and encode it again"
    )
