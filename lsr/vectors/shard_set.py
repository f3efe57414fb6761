"""All shards of a corpus: the vectors of one run, in its order."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.documents import Document
from lsr.corpus.files import user_path
from lsr.corpus.shard import Shard
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.sparse import SparseBatch
from lsr.vectors.csr import Maker
from lsr.vectors.shard_folder import DOCUMENTS_OF_A_READ, PART, ShardFolder
from lsr.vectors.shard_manifest import MANIFEST, Manifest, damaged
from lsr.vectors.source import LARGEST_VOCABULARY, VectorItem, VectorSource
from lsr.vocabulary import Vocabulary

PREFIX = "shard-"
MOST_NAMED = 10
EachT = TypeVar("EachT")


def shard_folders(sources: Sequence[str]) -> list[Path]:
    """The shards among paths: shards, and folders of shards; none where they are something else.

    Raises:
        NotFoundError: a path is not there.
        UsageError: some are shards, and others are not; or a shard is not finished.
    """
    found: list[Path] = []
    others: list[str] = []
    for source in sources:
        path = user_path(source)
        if source != "-" and (not source or not path.exists()):
            raise NotFoundError(
                f"there is no file or folder {source!r}; give a file of vectors, a folder of "
                ".jsonl files, shards of lsr encode --shard, or - for standard input"
            )
        inside = _shards(path) if source != "-" and path.is_dir() else []
        found += inside
        others += [] if inside else [source]
    if others and (found or len(sources) > 1):
        raise UsageError(
            f"{others[0]!r} is no shard of lsr encode --shard; several paths are taken only where "
            "all are shards"
        )
    unfinished = [path for path in found if path.name.endswith(PART)]
    begun = [path for path in unfinished if path.with_name(path.name[: -len(PART)]) not in found]
    if begun:
        raise UsageError(
            f"{begun[0]} is a shard that was begun and is not finished; run the same lsr encode "
            "again"
        )
    return [path for path in found if path not in unfinished]


def _shards(folder: Path) -> list[Path]:
    if (folder / MANIFEST).exists():
        return [folder]
    inside = sorted(each for each in folder.iterdir() if each.name.startswith(PREFIX))
    return [
        each
        for each in inside
        if each.is_dir() and (each.name.endswith(PART) or (each / MANIFEST).exists())
    ]


class ShardSet(VectorSource):
    """The shards of one encoding, whose chunks in turn are the corpus.

    Everything is checked before anything is used.

    Args:
        folders: the shards, in any order.

    Raises:
        InputError: they are not all shards of one encoding, each once.
        CorruptionError: one is damaged.
        UsageError: another release wrote one.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        shards = [ShardFolder(path) for path in folders]
        if problems := [*_mixed(shards)] or [*_repeated(shards), *_missing(shards)]:
            raise InputError("; ".join(problems))
        self.shards = sorted(shards, key=lambda shard: shard.manifest.shard.number)
        for shard in self.shards:
            shard.verify()
        self._manifest = self.shards[0].manifest
        self._check_ids()
        self.vocabulary_digest: str | None = self._manifest.vocabulary
        self.encoder = self._manifest.encoder
        self._read = 0

    @property
    def documents(self) -> int:
        """How many documents they hold, all of them together."""
        return sum(shard.manifest.documents for shard in self.shards)

    @property
    def maker(self) -> Maker:
        """The encoder that made all vectors."""
        return Maker(self._manifest.encoder, self._manifest.fingerprint)

    @property
    def rejected(self) -> int:
        """Items of the corpus that are no document of any shard."""
        return sum(shard.manifest.rejected for shard in self.shards)

    @property
    def digest(self) -> str:
        """Changes with every byte of a shard."""
        return "-".join(shard.manifest.digest for shard in self.shards)

    @property
    def fraction(self) -> float | None:
        """See ``VectorSource``."""
        return self._read / max(self.documents, 1)

    def tokens(self) -> list[str]:
        """See ``VectorSource``: the closed vocabulary, then the words as one run numbers them."""
        spelled = [shard.vectors().tokens() for shard in self.shards]
        closed = self._manifest.terms
        if any(tokens[:closed] != spelled[0][:closed] for tokens in spelled):
            raise InputError("the shards are over different vocabularies; encode them again")
        words: dict[str, None] = {}
        known = [0] * len(self.shards)
        for place, numbers in self._in_turn([shard.words() for shard in self.shards]):
            # In a shard, too, words are numbered as they come, chunk by chunk.
            last = max(known[place], int(numbers.max(initial=-1)) + 1)
            new = spelled[place][closed + known[place] : closed + last]
            words.update(dict.fromkeys(new))
            known[place] = last
        tokens = spelled[0][:closed] + list(words)
        if len(tokens) > LARGEST_VOCABULARY:
            raise InputError(f"the shards have more than {LARGEST_VOCABULARY} tokens")
        return tokens

    def items(self, vocabulary: Vocabulary) -> Iterator[VectorItem]:
        """See ``VectorSource``; each with title, text and metadata."""
        # A vocabulary that grows gives its numbers to words in this order.
        for token in self.tokens():
            vocabulary.number(token, -1)
        rows = [shard.vectors().items(vocabulary) for shard in self.shards]
        self._read = 0
        for place, documents in self._in_turn([shard.documents() for shard in self.shards]):
            for document, item in zip(documents, islice(rows[place], len(documents)), strict=True):
                if item.document is not None:
                    self._check_same(place, document, item.document.id)
                    item = replace(item, document=document)
                self._read += 1
                yield item

    def chunks(self) -> Iterator[tuple[list[Document], SparseBatch]]:
        """The very batches that the shards encoded, with their documents, in order of the corpus.

        Raises:
            CorruptionError: a shard holds what no encoder gives.
        """
        vectors = [shard.vectors() for shard in self.shards]
        terms = self._manifest.terms
        spelled = [each.tokens()[terms:] for each in vectors]
        words = [shard.words() for shard in self.shards]
        begin = [0] * len(self.shards)
        for place, documents in self._in_turn([shard.documents() for shard in self.shards]):
            first, last = begin[place], begin[place] + len(documents)
            begin[place] = last
            names = [each.decode(errors="replace") for each in vectors[place].ids(first, last)]
            for document, identifier in zip(documents, names, strict=True):
                self._check_same(place, document, identifier)
            numbers = next(words[place])
            if ((numbers < 0) | (numbers >= len(spelled[place]))).any():
                raise damaged(self.shards[place].path, "a word of a chunk is not in it")
            own = tuple(spelled[place][number] for number in numbers)
            batch = _as_encoded(vectors[place].rows(first, last), terms, numbers, own)
            if batch is None:
                raise damaged(self.shards[place].path, "a vector has a word that its chunk lacks")
            yield documents, batch

    def _in_turn(self, streams: Sequence[Iterator[EachT]]) -> Iterator[tuple[int, EachT]]:
        """What the shards have for each chunk of the corpus, in turn, and which shard it is of."""
        chunks = -(-self._manifest.items // self._manifest.chunk)
        for number in range(chunks):
            place = number % len(streams)
            yield place, next(streams[place])

    def _check_ids(self) -> None:
        """Raise InputError where an id is there twice."""
        digests = np.concatenate([_id_digests(shard) for shard in self.shards])
        digests = np.sort(digests)
        doubtful = set(digests[1:][digests[1:] == digests[:-1]].tolist())
        seen: dict[bytes, Path] = {}
        for shard in self.shards if doubtful else ():
            for identifier in _ids(shard):
                if int.from_bytes(_id_digest(identifier), "little") not in doubtful:
                    continue
                if identifier in seen:
                    raise InputError(
                        f"the id {identifier.decode(errors='replace')!r} is in {seen[identifier]} "
                        f"and in {shard.path}; encode them again from a corpus that has it once"
                    )
                seen[identifier] = shard.path

    def _check_same(self, place: int, document: Document, identifier: str) -> None:
        if document.id != identifier:
            raise damaged(
                self.shards[place].path,
                f"its vector of {identifier!r} stands beside the document {document.id!r}",
            )


def _as_encoded(
    rows: SparseBatch, closed: int, numbers: NDArray[np.int32], words: tuple[str, ...]
) -> SparseBatch | None:
    """The batch whose words got these numbers in the shard; None where it has others.

    ``closed`` is the size of the closed vocabulary.
    """
    indices = rows.indices.astype(np.int64)
    of_words = indices >= closed
    wanted = indices[of_words] - closed
    if len(np.unique(numbers)) < len(numbers) or not np.isin(wanted, numbers).all():
        return None
    order = np.argsort(numbers)
    indices[of_words] = closed + order[np.searchsorted(numbers[order], wanted)]
    owners = np.repeat(np.arange(len(rows), dtype=np.int64), np.diff(rows.indptr))
    by_term = np.lexsort((indices, owners))
    return SparseBatch(
        rows.indptr,
        indices[by_term].astype(np.int32),
        rows.values[by_term],
        closed + len(numbers),
        words,
    )


def _id_digests(shard: ShardFolder) -> NDArray[np.uint64]:
    """Eight bytes of each id, in their order, uint64 (n,)."""
    return np.frombuffer(b"".join(map(_id_digest, _ids(shard))), "<u8")


def _id_digest(identifier: bytes) -> bytes:
    return hashlib.blake2b(identifier, digest_size=8).digest()


def _ids(shard: ShardFolder) -> Iterator[bytes]:
    vectors = shard.vectors()
    for first in range(0, len(vectors), DOCUMENTS_OF_A_READ):
        yield from vectors.ids(first, min(first + DOCUMENTS_OF_A_READ, len(vectors)))


def _mixed(shards: Sequence[ShardFolder]) -> Iterator[str]:
    """A sentence on each thing in which shards differ that those of one encoding have in common."""
    common: dict[str, Callable[[Manifest], object]] = {
        "of different numbers of shards": lambda each: each.shard.of,
        "of different corpora": lambda each: (each.corpus, each.items),
        "of different encoders": lambda each: (each.fingerprint, each.vocabulary, each.terms),
        "encoded in chunks of different sizes": lambda each: each.chunk,
    }
    first = shards[0]
    for what, of in common.items():
        for shard in shards[1:]:
            if of(shard.manifest) != of(first.manifest):
                yield (
                    f"{_told(first)} and {_told(shard)} are {what}; give the shards of one "
                    "encoding of one corpus"
                )
                break


def _repeated(shards: Sequence[ShardFolder]) -> Iterator[str]:
    """A sentence on each shard that is given more than once."""
    paths: dict[Shard, list[str]] = defaultdict(list)
    for shard in shards:
        paths[shard.manifest.shard].append(str(shard.path))
    for part, given in paths.items():
        if len(given) > 1:
            yield f"shard {part} is given {len(given)} times ({', '.join(given)}); give it once"


def _missing(shards: Sequence[ShardFolder]) -> Iterator[str]:
    """A sentence on the shards that are not given."""
    of = shards[0].manifest.shard.of
    there = {shard.manifest.shard.number for shard in shards}
    missing = [str(Shard(number, of)) for number in range(1, of + 1) if number not in there]
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        few = ", ".join(missing[:MOST_NAMED])
        told = f"shard {few} is" if len(missing) == 1 else f"shards {few}{more} are"
        yield f"{told} missing; encode with --shard {missing[0]}, or give what was encoded"


def _told(shard: ShardFolder) -> str:
    found = shard.manifest
    return f"{shard.path} ({found.shard}, {found.encoder}, {found.items:,} items)"
