"""The lock file among processes, and among several handles of one."""

import math
import os
import subprocess
import sys
import threading

import pytest

from index.collection.file_lock import FileLock
from lsr.errors import LsrError

HOLD = """
import sys
from pathlib import Path
from index.collection.file_lock import FileLock
with FileLock(Path(sys.argv[1])).held(wait=0) as locked:
    print(locked, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def holder(path):
    """Another process that holds the lock until its input ends."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", HOLD, path], **pipes)
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def test_one_handle_at_a_time_holds_it(path):
    with FileLock(path).held(wait=0) as first, FileLock(path).held(wait=0) as second:
        assert (first, second) == (True, False)
        assert FileLock(path).holder() == os.getpid()
    assert FileLock(path).holder() is None
    assert path.exists()
    with FileLock(path).held(wait=0) as again:
        assert again


def test_the_same_handle_is_not_held_twice(path):
    lock = FileLock(path)
    with lock.held(wait=0) as first, lock.held(wait=0) as second:
        assert (first, second) == (True, False)


def test_another_process_holds_it_and_is_named(path, holder):
    with FileLock(path).held(wait=0) as locked:
        assert not locked
    assert FileLock(path).holder() == holder.pid
    holder.communicate("")
    with FileLock(path).held(wait=0) as locked:
        assert locked


def test_a_killed_holder_frees_it(path, holder):
    holder.kill()
    holder.wait()
    assert FileLock(path).holder() == holder.pid
    with FileLock(path).held(wait=0) as locked:
        assert locked
        assert FileLock(path).holder() == os.getpid()


def test_who_waits_gets_it_when_it_is_free(path):
    got = threading.Event()

    def wait():
        with FileLock(path).held(wait=math.inf) as locked:
            assert locked
            got.set()

    with FileLock(path).held(wait=0):
        thread = threading.Thread(target=wait)
        thread.start()
        assert not got.wait(0.2)
    thread.join()
    assert got.is_set()


def test_an_error_inside_frees_it(path):
    def fail():
        with FileLock(path).held(wait=0):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with FileLock(path).held(wait=0) as locked:
        assert locked


def test_a_folder_that_is_gone_stays_gone(tmp_path):
    lock = FileLock(tmp_path / "deleted" / "lock")
    with pytest.raises(FileNotFoundError), lock.held(wait=math.inf):
        pass
    assert not (tmp_path / "deleted").exists()
    assert lock.holder() is None


def link_to(path, victim):
    path.symlink_to(victim)


def hard_link_to(path, victim):
    path.hardlink_to(victim)


def link_to_nothing(path, victim):
    path.symlink_to(victim.with_name("nothing"))


def pipe(path, victim):
    os.mkfifo(path)


def folder(path, victim):
    path.mkdir()


def device(path, victim):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    "put",
    [link_to, hard_link_to, link_to_nothing, pipe, folder, device],
    ids=lambda put: put.__name__,
)
@pytest.mark.parametrize("wait", [False, True])
def test_what_is_no_plain_file_is_refused_in_one_sentence(tmp_path, path, put, wait):
    victim = tmp_path / "victim"
    victim.write_text("123 keep me\n")
    put(path, victim)
    lock = FileLock(path)
    assert lock.holder() is None
    with pytest.raises(LsrError, match=r"the lock file .*lock is .*; remove it"), lock.held(wait):
        pass
    assert victim.read_text() == "123 keep me\n"
    assert not (tmp_path / "nothing").exists()
