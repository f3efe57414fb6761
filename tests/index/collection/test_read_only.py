"""Who may not write a collection can do everything but write, and leaves no file there."""

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from benches.crash import CONTEXT, DENSE, SPARSE, examine, upsert
from index.collection.check import check
from index.collection.collection import STORE_FILE, Collection
from index.collection.maintenance import MaintenanceConfig
from index.collection.snapshot import restore, snapshot
from index.importing import stored_vectors
from lsr.errors import LsrError, UsageError

QUIET = MaintenanceConfig(flush_documents=1_000_000, changed_share=0.0)
NOBODY = 65534


@contextmanager
def as_another_user(folder):
    """This process may read the folder and not write it."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs more rights")
    os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        os.seteuid(0)


@contextmanager
def on_a_read_only_disk(folder):
    place = folder.with_name(f"{folder.name}-mounted")
    place.mkdir()
    for options in (["--bind", str(folder), str(place)], ["-o", "remount,ro,bind", str(place)]):
        if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
            pytest.skip("mounting needs more rights")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def open_folder():
    """A folder that others may read, and so pass the folders above it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


WAYS = [as_another_user, on_a_read_only_disk]


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("reading", WAYS)
@pytest.mark.parametrize("state", ["closed", "killed", "beside a writer"])
def test_everything_but_writing_works(open_folder, tmp_path_factory, reading, state):
    writer = Collection.create(open_folder / "live", [SPARSE, DENSE], QUIET)
    upsert(writer, [(f"d{n}", 1) for n in range(20)])
    writer.maintenance.flush()
    upsert(writer, [("d1", 2), ("e", 1)])
    expected = {f"d{n}": 1 for n in range(20) if n != 1} | {"d1": 2, "e": 1}
    folder = open_folder / "live"
    if state == "killed":
        folder = open_folder / "killed"
        shutil.copytree(writer.path, folder)
    if state != "beside a writer":
        writer.close()
    # What is imported late may be where only this user can read.
    assert examine(writer.path, [expected]) == (expected, [])
    before = names(folder)
    target = Path(tempfile.mkdtemp(dir=open_folder))
    target.chmod(0o777)
    with reading(folder) as place:
        collection = Collection.open(place)
        assert collection.store.read_only
        assert examine(place, [expected]) == (expected, [])
        assert check(collection).problems == []
        assert collection.describe()["documents"] == 21
        assert sum(len(documents) for documents, _ in stored_vectors(collection, SPARSE)) == 21
        snapshot(collection, target / "taken")
        with pytest.raises(UsageError, match="may only be read"):
            upsert(collection, [("f", 1)])
        with pytest.raises(UsageError, match="may only be read"):
            collection.maintenance.flush()
        collection.close()
        if state == "beside a writer":
            assert names(place) == before
    assert names(folder) == before
    restore(target / "taken", target / "restored")
    assert examine(target / "restored", [expected]) == (expected, [])


def _write(path, pipe):
    collection = Collection.open(path, QUIET)
    for _ in range(2):
        version = pipe.recv()
        upsert(collection, [("d1", version)])
        if version == 3:
            collection.close()
        pipe.send(version)


@pytest.mark.parametrize("reading", WAYS)
def test_a_reader_follows_a_writer_that_comes_and_goes(open_folder, reading):
    writer = Collection.create(open_folder / "c", [SPARSE, DENSE], QUIET)
    upsert(writer, [("d1", 1)])
    writer.close()
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_write, args=(open_folder / "c", there))
    with reading(open_folder / "c") as place:
        collection = Collection.open(place)
        assert collection.get("d1").text == "1"
        assert not (place / f"{STORE_FILE}-wal").exists()
        if os.geteuid() == NOBODY:
            os.seteuid(0)
            process.start()
            os.seteuid(NOBODY)
        else:
            process.start()
        there.close()
        for version in (2, 3):
            here.send(version)
            assert here.recv() == version
            assert collection.get("d1").text == str(version)
            assert collection.view().store.documents([version])[version].text == str(version)
        collection.close()
    process.join()


@pytest.mark.parametrize("reading", WAYS)
def test_a_log_that_only_its_owner_can_recover_is_one_sentence(open_folder, reading):
    writer = Collection.create(open_folder / "c", [SPARSE, DENSE], QUIET)
    upsert(writer, [("d1", 1)])
    shutil.copytree(writer.path, open_folder / "killed")
    writer.close()
    (open_folder / "killed" / f"{STORE_FILE}-shm").unlink()
    with (
        reading(open_folder / "killed") as place,
        pytest.raises(LsrError, match="open it once as its owner"),
    ):
        Collection.open(place)
    assert examine(open_folder / "killed", [{"d1": 1}]) == ({"d1": 1}, [])
