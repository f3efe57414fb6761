"""Threads and processes at once. A group of documents is always written, replaced and deleted as
one batch, all with the version as their weight: an answer of mixed versions, or of part of a group,
would be torn."""

import random
import threading
import time
from contextlib import suppress

import numpy as np
import pytest

from benches.crash import CONFIG, CONTEXT, DENSE, TERMS
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import Field
from index.collection.snapshot import restore, snapshot
from lsr.corpus.documents import Document
from lsr.errors import LockedError
from lsr.sparse import SparseBatch, SparseVector

SPARSE = Field("sparse", "sparse", "made by hand", "made-by-hand", TERMS)
GROUPS, SIZE = 6, 5
# float16 has every whole number up to here.
LAST_VERSION = 2048


def write_group(collection, group, version):
    vector = SparseVector.from_mapping({group: float(version)})
    collection.upsert(
        [Document(f"{group}-{n}", str(version)) for n in range(SIZE)],
        {
            "sparse": SparseBatch.from_rows([vector] * SIZE, TERMS),
            "dense": np.full((SIZE, DENSE.size), version, dtype=np.float32),
        },
    )


def read_group(collection, group):
    """(version or 0, what is wrong) of one answer."""
    query = SparseBatch.from_rows([SparseVector.from_mapping({group: 1.0})], TERMS)
    with collection.pinned() as view:
        ranking = view.search_sparse(SPARSE, query, 50, "native").ranking(0)
        documents = collection.store.documents([number for number, _ in ranking])
    versions = {score for _, score in ranking}
    texts = {float(document.text) for document in documents.values()}
    ids = {document.id for document in documents.values()}
    whole = {f"{group}-{n}" for n in range(SIZE)}
    if ranking and (len(versions) != 1 or texts != versions or ids != whole):
        return 0, [f"group {group} is torn: {ranking} {sorted(ids)} {texts}"]
    return int(next(iter(versions), 0)), []


def read_until(collection, end, acknowledged, problems):
    """Look at random groups; none may be torn, or older than what was acknowledged or seen."""
    numbers, seen, answers = random.Random(), dict.fromkeys(range(GROUPS), 0), 0
    while time.monotonic() < end:
        group = numbers.randrange(GROUPS)
        least = max(seen[group], acknowledged[group])
        version, torn = read_group(collection, group)
        problems += torn
        if 0 < version < least:
            problems.append(f"group {group} went back from {least} to {version}")
        seen[group] = max(seen[group], version)
        answers += 1
    return answers


def write_until(collection, end, groups, acknowledged):
    """Write and delete these groups; each ends with the version that ``acknowledged`` says."""
    numbers = random.Random(min(groups))
    version = 0
    while time.monotonic() < end and version < LAST_VERSION:
        version += 1
        group = numbers.choice(groups)
        # Another process may be writing; then try again.
        with suppress(LockedError):
            if numbers.random() < 0.2:
                collection.delete([f"{group}-{n}" for n in range(SIZE)])
            else:
                write_group(collection, group, version)
                acknowledged[group] = version


def started(pipe):
    """Says that this process is ready, and returns when to end."""
    pipe.send(None)
    return pipe.recv()


def read_in_process(path, pipe):
    problems = []
    collection = Collection.open(path)
    end = started(pipe)
    answers = read_until(collection, end, dict.fromkeys(range(GROUPS), 0), problems)
    pipe.send((answers, problems))


def write_in_process(path, groups, pipe):
    acknowledged = {}
    collection = Collection.open(path, CONFIG)
    write_until(collection, started(pipe), groups, acknowledged)
    collection.close()
    pipe.send((len(acknowledged), []))


def copy_until(collection, end, folder, problems):
    number = 0
    while time.monotonic() < end:
        number += 1
        place = folder / f"snapshot-{number}"
        snapshot(collection, place)
        restore(place, folder / f"restored-{number}")
        copy = Collection.open(folder / f"restored-{number}")
        for group in range(GROUPS):
            problems += read_group(copy, group)[1]
        copy.close()
        time.sleep(0.2)


def flush_until(collection, end):
    while time.monotonic() < end:
        collection.maintenance.flush()
        time.sleep(0.05)


def run_all(tmp_path, seconds):
    collection = Collection.create(tmp_path / "c", [SPARSE, DENSE], CONFIG)
    acknowledged, problems, failures = dict.fromkeys(range(GROUPS), 0), [], []
    pipes = []
    for target, arguments in ((read_in_process, ()), (write_in_process, ((4, 5),))):
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=target, args=(collection.path, *arguments, theirs))
        process.start()
        theirs.close()
        pipes.append((process, ours))
    for _, pipe in pipes:
        pipe.recv()
    end = time.monotonic() + seconds
    for _, pipe in pipes:
        pipe.send(end)

    def guarded(function, *arguments):
        try:
            function(*arguments)
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=guarded, args=arguments)
        for arguments in (
            (write_until, collection, end, (0, 1), acknowledged),
            (write_until, collection, end, (2, 3), acknowledged),
            (read_until, collection, end, acknowledged, problems),
            (read_until, Collection.open(collection.path), end, acknowledged, problems),
            (flush_until, collection, end),
            (copy_until, collection, end, tmp_path, problems),
        )
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process, pipe in pipes:
        count, found = pipe.recv()
        process.join()
        assert count > 0
        problems += found
    collection.close()
    assert failures == []
    assert problems == []
    assert all(acknowledged[group] for group in range(4))
    for group in range(4):
        assert read_group(collection, group)[0] in (0, acknowledged[group])
    assert check(collection).problems == []


def test_no_answer_is_torn_while_everything_happens_at_once(tmp_path):
    run_all(tmp_path, seconds=8)


@pytest.mark.slow
def test_no_answer_is_torn_in_a_minute_of_everything_at_once(tmp_path):
    run_all(tmp_path, seconds=60)
