"""The chain of commits: a log cut short, or of another collection, is not read as if whole."""

import os
import shutil
import threading

import pytest

from benches.crash import CONTEXT, DENSE, SPARSE, examine, upsert
from index.collection.check import check
from index.collection.collection import STORE_FILE, Collection
from index.collection.commits import SLOT, Commit, CommitsError, CommitsFile
from index.collection.maintenance import MaintenanceConfig
from index.collection.repair import RepairReport, accept_commits
from index.collection.store import Store
from lsr.errors import LockedError, LsrError

QUIET = MaintenanceConfig(flush_documents=1_000_000, changed_share=0.0)
LOG, COMMITS = f"{STORE_FILE}-wal", "collection.commits"
FRAME = 4096 + 24


def state(number):
    return {f"d{n}": 1 for n in range(1, number + 1)}


@pytest.fixture
def killed(tmp_path):
    """A collection as a kill leaves it: five commits, three of which are in the log alone."""
    return made(tmp_path)


def made(folder, commits=5, closed=2):
    collection = Collection.create(folder / "live", [SPARSE, DENSE], QUIET)
    for number in range(1, commits + 1):
        upsert(collection, [(f"d{number}", 1)])
        if number == closed:
            collection.close()
            collection = Collection.open(folder / "live", QUIET)
    shutil.copytree(folder / "live", folder / "killed")
    collection.close()
    shutil.rmtree(folder / "live")
    (folder / "killed" / f"{STORE_FILE}-shm").unlink()
    return folder / "killed"


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_killed_collection_is_whole(killed):
    assert (killed / LOG).stat().st_size > 3 * FRAME
    assert examine(killed, [state(5)]) == (state(5), [])


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_failed_frame_is_reported_and_the_loss_accepted_knowingly(killed, share):
    size = (killed / LOG).stat().st_size
    flip(killed / LOG, int(share * size))
    with pytest.raises(CommitsError, match=r"lacks its last \d commits: .* restore a snapshot"):
        Collection.open(killed)
    # Looking changes nothing: the log is still there to be saved.
    assert (killed / LOG).stat().st_size == size
    done = RepairReport()
    assert "lacks its last" in accept_commits(killed, done)
    (said,) = done.said
    lost = int(said.split()[2])
    assert said == f"the last {lost} commits are given up"
    assert examine(killed, [state(5 - lost)]) == (state(5 - lost), [])
    assert accept_commits(killed, RepairReport()) is None


@pytest.mark.parametrize("cut", ["missing", "empty", "short"])
def test_a_log_that_is_gone_is_reported(killed, cut):
    content = (killed / LOG).read_bytes()
    (killed / LOG).unlink()
    if cut != "missing":
        (killed / LOG).write_bytes(content[: len(content) // 2] if cut == "short" else b"")
    with pytest.raises(CommitsError, match="lacks its last"):
        Collection.open(killed)


def test_a_log_of_another_collection_is_reported_and_set_aside(tmp_path):
    whole = made(tmp_path / "a", closed=5)
    other = made(tmp_path / "b", commits=7)
    shutil.copy(other / LOG, whole / LOG)
    before = (whole / STORE_FILE).read_bytes()
    with pytest.raises(CommitsError, match="not its own"):
        Collection.open(whole)
    assert (whole / STORE_FILE).read_bytes() == before
    done = RepairReport()
    assert "not its own" in accept_commits(whole, done)
    assert done.said == [
        f"the log {LOG} was set aside as {LOG}.aside",
        "no commit that is known is lost",
    ]
    assert examine(whole, [state(5)]) == (state(5), [])


def test_a_log_of_a_copy_that_went_another_way_is_reported(tmp_path):
    first = made(tmp_path / "a", commits=3, closed=3)
    second = tmp_path / "copy"
    shutil.copytree(first, second)
    for folder, name in ((first, "x"), (second, "y")):
        collection = Collection.open(folder, QUIET)
        upsert(collection, [(name, 1)])
        shutil.copytree(folder, folder.with_name(f"{name}-killed"))
    here, there = first.with_name("x-killed"), second.with_name("y-killed")
    shutil.copy(there / LOG, here / LOG)
    (here / f"{STORE_FILE}-shm").unlink()
    with pytest.raises(CommitsError, match="not its own"):
        Collection.open(here)


@pytest.mark.parametrize("damage", ["missing", "short", "flipped"])
def test_a_damaged_commits_file_is_named_and_written_anew(killed, damage):
    path = killed / COMMITS
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "short":
        path.write_bytes(content[:7])
    else:
        flip(path, 5)
        flip(path, SLOT + 5)
    with pytest.raises(CommitsError, match="says what was written last"):
        Collection.open(killed)
    done = RepairReport()
    assert accept_commits(killed, done)
    assert examine(killed, [state(5)]) == (state(5), [])


def test_a_torn_slot_and_a_commit_whose_slot_was_not_written_are_no_alarm(killed):
    content = (killed / COMMITS).read_bytes()
    for slot in (0, 1):
        torn = bytearray(content)
        torn[slot * SLOT + 40 : (slot + 1) * SLOT] = os.urandom(SLOT - 40)
        (killed / COMMITS).write_bytes(torn)
        Collection.open(killed).close()
        assert examine(killed, [state(5)]) == (state(5), [])


def test_a_commits_file_that_can_not_be_written_refuses_the_write_after(killed, monkeypatch):
    collection = Collection.open(killed, QUIET)
    write = CommitsFile.write
    failing = []

    def failed(self, commit):
        if failing:
            raise OSError(5, "Input/output error")
        write(self, commit)

    monkeypatch.setattr(CommitsFile, "write", failed)
    with collection.store.writing():
        failing.append(True)
    with pytest.raises(LsrError, match="nothing was written"):
        upsert(collection, [("d6", 1)])
    failing.clear()
    upsert(collection, [("d6", 1)])
    collection.close()
    assert examine(killed, [state(6)]) == (state(6), [])


def test_writes_stop_where_the_store_went_back_under_an_open_handle(killed):
    collection = Collection.open(killed, QUIET)
    commits = CommitsFile(killed / COMMITS)
    newest = commits.newest()
    commits.create(Commit(newest.identity, newest.revision + 3, "f" * 32))
    with pytest.raises(CommitsError, match="lacks its last 3 commits"):
        upsert(collection, [("d6", 1)])


def _write(path, number):
    collection = Collection.open(path, QUIET)
    for version in range(1, number + 1):
        upsert(collection, [("d1", version)])
    collection.close()


def test_opening_beside_a_writer_is_no_false_alarm(tmp_path):
    Collection.create(tmp_path / "c", [SPARSE, DENSE], QUIET).close()
    process = CONTEXT.Process(target=_write, args=(tmp_path / "c", 150))
    process.start()
    opened = 0
    while process.is_alive():
        Store(tmp_path / "c" / STORE_FILE).close()
        opened += 1
    process.join()
    assert process.exitcode == 0
    assert opened > 10


def test_two_writing_handles_keep_one_chain(tmp_path):
    first = Collection.create(tmp_path / "c", [SPARSE, DENSE], QUIET)
    second = Collection.open(tmp_path / "c", QUIET)

    def write(collection):
        for _ in range(30):
            with collection.store.writing():
                pass
        collection.store.close()

    threads = [threading.Thread(target=write, args=(handle,)) for handle in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.store.revision() == 60
    assert CommitsFile(tmp_path / "c" / COMMITS).newest().revision >= 59
    assert check(Collection.open(tmp_path / "c")).problems == []


def test_giving_up_commits_waits_for_no_writer(killed):
    collection = Collection.open(killed, QUIET)
    with collection.writing():
        (killed / COMMITS).unlink()
        with pytest.raises(LockedError, match="stop it first"):
            accept_commits(killed, RepairReport())


def test_a_long_log_is_moved_into_the_file_by_a_write_that_locks_others_out(tmp_path, monkeypatch):
    monkeypatch.setattr("index.collection.database.LARGEST_LOG", 20 * FRAME)
    collection = Collection.create(tmp_path / "c", [SPARSE, DENSE], QUIET)
    sizes = []
    for number in range(1, 60):
        upsert(collection, [(f"d{number}", 1)])
        sizes.append((tmp_path / "c" / LOG).stat().st_size)
    assert max(sizes) < 60 * FRAME
    assert examine(tmp_path / "c", [state(59)]) == (state(59), [])
