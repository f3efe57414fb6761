"""Writes of split documents that end at a commit's boundaries: nothing acknowledged is lost, and
nothing is encoded twice.
"""

import os
import signal
from contextlib import closing, contextmanager, suppress

import pytest

from benches.crash import CONTEXT
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.commits import CommitsFile
from index.collection.field import encoder_fields
from index.collection.store import Store
from index.indexing import index_documents, upsert_documents
from index.patching import Patch, patch_document
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.syncing import sync_documents
from lsr.corpus.documents import Document, Section
from lsr.corpus.items import given_items

PAGES = [f"Page {n} tells of engine {n}. " + "Oil and a drive it needs. " * 40 for n in range(1, 6)]
STARTS = [sum(len(page) for page in PAGES[:n]) for n in range(len(PAGES))]
SECTIONS = [Section(start, f"Part {n}", n) for n, start in enumerate(STARTS, start=1)]
NEWER = [page.replace("Page 3", "Zebra 3") for page in PAGES]


def manual(pages=PAGES, metadata=None):
    return Document("manual", "".join(pages), "Manual", metadata or {"kind": "book"}, SECTIONS)


SHORT = [Document(f"d{n}", f"A car, number {n}, needs oil.") for n in range(4)]
FIRST = [manual(), *SHORT]
OPERATIONS = {
    "upsert": lambda c: upsert_documents(c, [manual(NEWER), Document("new", "A bicycle.")]),
    "patched metadata": lambda c: patch_document(c, "manual", Patch(metadata={"kind": "map"})),
    "patched text": lambda c: patch_document(c, "manual", Patch(text="".join(NEWER))),
    "index": lambda c: index_documents(c, given_items([manual(NEWER), *SHORT]), chunk_size=2),
    "sync": lambda c: sync_documents(c, given_items([manual(NEWER), SHORT[1]])),
    "delete": lambda c: c.delete(["manual", "d1"]),
}
# Before anything, within the transaction, and after it, when the write isn't acknowledged yet.
POINTS = ("begin", "rows", "removed", "committed")


class Interrupted(BaseException):
    """In place of the end of the process."""


def interrupt():
    raise Interrupted


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def stop_at(patch, point, stop):
    """Let the process stop at a point of its first transaction."""
    if point in ("begin", "committed"):
        write, calls = CommitsFile.write, []

        def counted(self, commit):
            calls.append(commit)
            if len(calls) == (1 if point == "begin" else 2):
                stop()
            return write(self, commit)

        patch(CommitsFile, "write", counted)
        return
    name = "append" if point == "rows" else "remove"
    done = getattr(Store, name)

    def stopped(self, *arguments, **options):
        done(self, *arguments, **options)
        stop()

    patch(Store, name, stopped)


def created(path):
    with closing(Collection.create(path, encoder_fields("bm25"), passages="auto")) as collection:
        assert index_documents(collection, given_items(FIRST)).split == 1
    return path


@contextmanager
def counting(collection):
    """What the encoder is given inside; it is one for the whole process, and is left as it was."""
    kind = type(collection.fields.encoder(collection.fields[0]))
    encode, texts = kind.encode_documents, []

    def counted(self, given):
        texts.extend(given)
        return encode(self, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, "encode_documents", counted)
        yield texts


def state(collection):
    """All that a user can see: documents with their passages, and rankings with their places."""
    numbers = collection.store.sequences(collection.ids())
    passages = collection.store.passages.of(list(numbers.values()))
    found = [
        [(hit.id, hit.passage) for hit in search(collection, SearchQuery(text)).hits]
        for text in ("engine 4", "zebra", "oil")
    ]
    documents = {each: collection.get(each) for each in numbers}
    return documents, {each: passages.get(number, []) for each, number in numbers.items()}, found


def outcome(path, operation):
    """What an operation that nothing stops leaves, and what it gives the encoder."""
    with closing(Collection.open(created(path))) as collection:
        before = state(collection)
        with counting(collection) as texts:
            OPERATIONS[operation](collection)
        return before, state(collection), texts


def goes_on(path, operation, point, expected):
    """Open what a stopped operation left, do it again, and look for what was lost or repeated."""
    before, after, wanted = expected
    with closing(Collection.open(path)) as collection:
        assert check(collection).problems == []
        there = state(collection)
        if point != "committed":
            assert there == before
        elif operation not in ("index", "sync"):
            assert there == after
        with counting(collection) as texts:
            OPERATIONS[operation](collection)
        assert state(collection) == after
        assert check(collection).problems == []
        if point == "committed":
            # Chunks that were not begun are all that is left to encode.
            assert not set(texts) & {text for text in wanted if "engine" in text}
        else:
            assert texts == wanted


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_write_that_is_stopped_is_there_whole_or_not_at_all(tmp_path, operation):
    expected = outcome(tmp_path / "whole", operation)
    assert expected[0] != expected[1]
    for point in POINTS:
        if (operation, point) == ("delete", "rows"):
            continue
        path = created(tmp_path / point)
        with pytest.MonkeyPatch.context() as patch, closing(Collection.open(path)) as collection:
            stop_at(patch.setattr, point, interrupt)
            with suppress(Interrupted):
                OPERATIONS[operation](collection)
                pytest.fail(f"{operation} never comes to {point}")
        goes_on(path, operation, point, expected)


def write_and_die(path, operation, point):
    stop_at(setattr, point, die)
    OPERATIONS[operation](Collection.open(path))


@pytest.mark.parametrize(
    ("operation", "point"),
    [("upsert", "rows"), ("patched metadata", "committed"), ("index", "committed")],
)
def test_a_killed_write_is_there_whole_or_not_at_all(tmp_path, operation, point):
    expected = outcome(tmp_path / "whole", operation)
    path = created(tmp_path / "killed")
    process = CONTEXT.Process(target=write_and_die, args=(path, operation, point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    goes_on(path, operation, point, expected)
