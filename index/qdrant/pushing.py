"""``lsr push``: a collection copied to Qdrant, or its copy there brought up to date, and verified.

A document has the same number here and there, which stands for one version of it for ever. So what
is missing there, and what is to go, follows from the numbers, whatever interrupted the last run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from index.collection.collection import Collection
from index.collection.field import Field
from index.qdrant.layout import PLACE_BITS, RECORDS, Record, document_number, number_of
from index.qdrant.making import is_made, make
from index.qdrant.port import Point, QdrantPort
from index.qdrant.push_report import PushReport
from index.qdrant.rows import OldDocument
from index.qdrant.source import Source
from index.qdrant.state import Counted, State
from index.qdrant.statistics import FrequencyLog
from index.qdrant.weighing import weigh_anew
from index.qdrant.words import WordList
from index.qdrant.writing import COPYING, LEASE, MOST_DYING, Writing
from lsr.corpus.documents import documents_digest
from lsr.encoders.imported import IMPORTED
from lsr.errors import ConflictError, CorruptionError, EncoderMismatchError, UsageError
from lsr.sparse import SparseVector

# The setting that names the state of the source that the copy is of.
PUSHED = "pushed"
# Rows whose vectors and payload are compared at the end.
SAMPLED = 256
# Seconds that it waits for other writers: longer than the lease of one that was killed.
LONGEST_WAIT = LEASE + 10
AT_ONCE = 1024
OnProgress = Callable[[int, int], None]


class Push:
    """One run.

    Args:
        source: what is copied, of one state.
        port: of the copy.
        writing: its writer, whose lease is held.
        words: of its open fields.
        tokens: of its imported vocabulary.
        place: how messages call the copy.
        on_progress: is told how many documents were sent, and of how many.
    """

    def __init__(
        self,
        source: Source,
        port: QdrantPort,
        writing: Writing,
        words: WordList,
        tokens: WordList,
        place: str,
        on_progress: OnProgress = lambda done, total: None,
    ) -> None:
        self._source = source
        self._port = port
        self._writing = writing
        self._words = words
        self._tokens = tokens
        self._place = place
        self._on_progress = on_progress
        self._encoders = source.collection.fields.encoder
        self._report = PushReport()
        # What is to go as another version of it comes, by id.
        self._replaced: dict[str, OldDocument] = {}

    def run(self) -> PushReport:
        """Copy what is missing, delete what is gone, and verify.

        Raises:
            ConflictError: the copy is of another collection, or was written to since.
            EncoderMismatchError: it has other encoders.
            CorruptionError: the copy is not right, or the collection is damaged.
            LockedError: another writer took over.
        """
        self._check()
        missing, gone = self._differences()
        pushed = f"{self._source.store.revision()}"
        unchanged = self._writing.state.settings.get(PUSHED) == pushed and not len(missing)
        if not unchanged or gone:
            self._begin()
            self._delete(gone, missing)
            self._weigh()
            statistics = self._source.statistics()
            self._writing.replace_statistics(statistics.counted, statistics.totals)
            self._send(missing)
            self._end(pushed)
            missing, gone = self._differences()
        self._verify(missing, gone)
        return self._report

    def _check(self) -> None:
        """That this is a copy of the source, or nothing yet."""
        state, store = self._writing.state, self._source.store
        if state.source != store.identity and state.written:
            why = (
                "was written to by itself"
                if not state.source
                else "is a copy of another collection"
            )
            raise ConflictError(
                f"{self._place} {why}; push to another name, and let an alias stand for it with "
                "--alias"
            )
        there, here = state.field_list, list(self._source.fields)
        if [_alike(each) for each in there] != [_alike(each) for each in here]:
            raise EncoderMismatchError(
                f"{self._place} was built with {_spell(there)}, but {self._source.collection.path} "
                f"has {_spell(here)}; push to another name, and let an alias stand for it with "
                "--alias"
            )
        if list(self._words.first(state.words)[: state.words]) != self._all_words()[: state.words]:
            raise ConflictError(
                f"{self._place} has other words than {self._source.collection.path}, so it is no "
                "copy of it; push to another name"
            )

    def _all_words(self) -> list[str]:
        return self._source.store.dictionary.all()

    def _differences(self) -> tuple[NDArray[np.int64], dict[int, list[int]]]:
        """Numbers of documents to send, and rows that are to go by the first row of theirs.

        A document whose digest is another there is sent again.
        """
        wanted = self._source.numbers
        digests = self._source.digests()
        there: list[int] = []
        wrong: set[int] = set()
        for point in self._port.scroll(payload=["digest"]):
            if point.number >= RECORDS:
                break
            there.append(point.number)
            digest = digests.get(point.number)
            if digest is not None and point.payload.get("digest") != digest:
                wrong.add(document_number(point.number))
        held = np.array(there, dtype=np.int64)
        lacking = np.setdiff1d(wanted, held) >> PLACE_BITS
        missing = np.unique(np.concatenate([lacking, np.array(sorted(wrong), dtype=np.int64)]))
        gone: dict[int, list[int]] = {}
        for number in np.setdiff1d(held, wanted).tolist():
            gone.setdefault(number_of(document_number(number)), []).append(number)
        return missing, gone

    def _begin(self) -> None:
        """Note that the copy is not whole, and bring words and settings up to date."""
        store = self._source.store
        words, tokens = self._all_words(), self._source.tokens()
        turn = self._writing.state.version
        held = self._writing.state
        self._words.write(words[held.words :], held.words, turn)
        self._tokens.write(tokens[held.tokens :], held.tokens, turn)

        def changed(state: State) -> State:
            state = self._source.described(state)
            return replace(
                state,
                source=store.identity,
                words=len(words),
                tokens=len(tokens),
                settings={**state.settings, COPYING: store.identity},
            )

        self._writing.change(changed)

    def _delete(self, gone: dict[int, list[int]], missing: NDArray[np.int64]) -> None:
        """Delete what is gone, but for documents of which another version is to be sent."""
        ids = self._ids(list(gone))
        sent = set(self._source.store.ids(missing.tolist()).values()) if gone else set()
        part: list[OldDocument] = []
        rows = 0
        for first, numbers in gone.items():
            old = OldDocument(first, ids.get(first, ""), len(numbers), (), {})
            if old.id in sent:
                self._replaced[old.id] = old
                continue
            part.append(old)
            rows += old.rows
            self._report.deleted += 1
            if rows >= MOST_DYING:
                self._writing.copy(None, part)
                part, rows = [], 0
        if part:
            self._writing.copy(None, part)

    def _ids(self, firsts: Sequence[int]) -> dict[int, str]:
        found: dict[int, str] = {}
        for start in range(0, len(firsts), AT_ONCE):
            points = self._port.retrieve(firsts[start : start + AT_ONCE], payload=["id"])
            found |= {number: str(each.payload.get("id", "")) for number, each in points.items()}
        return found

    def _weigh(self) -> None:
        """Weigh what is there by the average lengths of the source, where these are others."""
        counted, wanted = self._writing.state.counted, self._source.averages()
        new = {
            name: average
            for name, average in wanted.items()
            if counted.get(name, Counted()).average not in (0.0, average)
            or name in self._writing.state.weighing
        }
        if new:
            self._report.weighed = weigh_anew(self._port, self._writing, self._encoders, new)

    def _send(self, missing: NDArray[np.int64]) -> None:
        self._on_progress(0, len(missing))
        for rows in self._source.commits(missing.tolist()):
            old = [
                self._replaced[document.id]
                for document in rows.documents
                if document.id in self._replaced
            ]
            self._writing.copy(rows, old)
            self._report.sent += len(rows.documents)
            self._on_progress(self._report.sent, len(missing))

    def _end(self, pushed: str) -> None:
        """Note that the copy is whole, and of which state."""

        def changed(state: State) -> State:
            settings = {name: text for name, text in state.settings.items() if name != COPYING}
            return replace(self._source.sized(state), settings={**settings, PUSHED: pushed})

        self._writing.change(changed)
        self._port.flush()

    def _verify(self, missing: NDArray[np.int64], gone: dict[int, list[int]]) -> None:
        """That the numbers, the digests of all documents, and a sample of rows are the source's.

        ``missing`` and ``gone`` are how the copy differs now.

        Raises:
            CorruptionError: they are not.
        """
        if len(missing) or gone:
            raise CorruptionError(
                f"{self._place} lacks {len(missing)} documents and holds {len(gone)} too many "
                "after the copy; run the same again"
            )
        self._report.documents = len(self._source.documents)
        self._report.rows = len(self._source.numbers)
        digests = self._source.digests().values()
        self._report.digest = documents_digest(bytes.fromhex(each) for each in digests)
        self._report.sampled = self._compare_sample()

    def _compare_sample(self) -> int:
        """Compare rows drawn at random with what would be written; returns how many."""
        documents = self._source.documents
        drawn = np.random.default_rng().choice(
            documents, size=min(SAMPLED, len(documents)), replace=False
        )
        if not len(drawn):
            return 0
        state = self._writing.state
        fields = state.field_list
        rows = self._source.rows(np.sort(drawn).tolist())
        wanted = rows.points(fields, self._encoders, state.average_lengths)
        names = [each.name for each in fields]
        found = self._port.retrieve([each.number for each in wanted], vectors=names)
        for each in wanted:
            if each.number not in found or not _same(each, found[each.number]):
                raise CorruptionError(
                    f"the row number {each.number} of {self._place} is not what was written; "
                    "delete the collection in Qdrant, and push again"
                )
        return len(wanted)


def push(
    collection: Collection,
    port: QdrantPort,
    place: str,
    on_progress: OnProgress = lambda done, total: None,
    shards: int | None = None,
    replicas: int | None = None,
) -> PushReport:
    """Copy a collection to Qdrant, or bring its copy there up to date; as ``Push.run``.

    Args:
        collection: of which one state is copied.
        port: of the copy, which is made where there is none.
        place: how messages call the copy.
        on_progress: is told how many documents were sent, and of how many.
        shards: of a new copy; None: as Qdrant decides.
        replicas: likewise, copies of each shard.

    Raises:
        UsageError: shards or replicas are given, and the copy is there.
    """
    with collection.store.reading():
        source = Source(collection)
        if not is_made(port):
            make(port, source.fields, collection.passages, shards=shards, replicas=replicas)
        elif shards or replicas:
            raise UsageError(
                f"{place} is there, with the shards and replicas that it was made with; leave the "
                "numbers out, and change them by Qdrant's API"
            )
        words, tokens = WordList(port, Record.WORDS), WordList(port, Record.TOKENS)
        encoders = collection.fields.encoder
        writing = Writing(port, encoders, words, FrequencyLog(port), place)
        with writing.held(LONGEST_WAIT):
            return Push(source, port, writing, words, tokens, place, on_progress).run()


def stand_for(port: QdrantPort, place: str, alias: str) -> None:
    """Let an alias stand for a collection, in one step, in the place of what it stood for.

    Raises:
        ConflictError: a collection has that name itself.
        UsageError: there are no aliases at the place.
    """
    names = port.names()
    if names.get(alias) == alias:
        raise ConflictError(
            f"{alias!r} is the name of a collection beside {place}, not of an alias; give a name "
            "that no collection has"
        )
    port.switch_alias(alias, names.get(port.name, port.name))


def _alike(each: Field) -> tuple[object, ...]:
    """What two fields must share; the vocabulary of imported vectors grows."""
    grows = each.encoder == IMPORTED
    varying = () if grows else (each.fingerprint, each.size, each.vocabulary)
    flags = (each.counts, each.open, each.counts_words, each.counted)
    return (each.name, each.kind, grows, varying, flags)


def _spell(fields: Sequence[Field]) -> str:
    return ", ".join(f"{each.name}={each.fingerprint}" for each in fields)


def _same(wanted: Point, found: Point) -> bool:
    if dict(wanted.payload) != dict(found.payload) or wanted.vectors.keys() != found.vectors.keys():
        return False
    return all(_same_vector(each, found.vectors[name]) for name, each in wanted.vectors.items())


def _same_vector(wanted: object, found: object) -> bool:
    if isinstance(wanted, SparseVector) and isinstance(found, SparseVector):
        return np.array_equal(wanted.indices, found.indices) and np.array_equal(
            wanted.values, found.values
        )
    return np.array_equal(np.asarray(wanted), np.asarray(found))
