"""Full disks and failing writes: one sentence, and nothing that was acknowledged is lost."""

import resource
import subprocess

import pytest

from benches.crash import CONFIG, CONTEXT, DENSE, SPARSE, examine, upsert
from index.collection.collection import Collection
from index.collection.maintenance import MaintenanceConfig
from index.collection.snapshot import restore, snapshot
from lsr.errors import CorruptionError, LsrError, StorageFullError
from tests.waiting import wait_until

# Nothing in the background, so that each failure is of the call that is made.
QUIET = MaintenanceConfig(flush_documents=1_000_000, changed_share=0.0)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs more rights")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(path, leave=0):
    """A file that takes what space there is, but for ``leave`` bytes."""
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"x" * 4096)
        except OSError:
            stream.truncate(max(0, stream.tell() - leave))


def upsert_until_failure(collection, limit=100_000):
    """Upsert batch after batch; the acknowledged versions, and the error that ended it."""
    expected = {}
    for version in range(1, limit):
        versions = [(f"{version}-{n}", version) for n in range(20)]
        try:
            upsert(collection, versions)
        except LsrError as error:
            return expected, error
        expected |= dict(versions)
    raise AssertionError("the disk did not fill up")


def test_writes_to_a_full_disk_fail_clearly_and_lose_nothing(small_disk):
    collection = Collection.create(small_disk / "c", [SPARSE, DENSE], QUIET)
    expected, error = upsert_until_failure(collection)
    assert len(expected) >= 100
    assert isinstance(error, StorageFullError)
    assert str(error).startswith("nothing was written to")
    assert "see that its disk has space" in str(error)
    assert examine(collection.path, [expected]) == (expected, [])
    with pytest.raises(StorageFullError, match="nothing was written"):
        upsert(collection, [("more", n) for n in [1]] + [(f"m{n}", 1) for n in range(500)])
    assert examine(collection.path, [expected]) == (expected, [])


def test_flush_and_snapshot_on_a_full_disk_fail_clearly_and_leave_nothing(small_disk, tmp_path):
    collection = Collection.create(small_disk / "c", [SPARSE, DENSE], QUIET)
    versions = [(f"d{n}", 1) for n in range(1500)]
    upsert(collection, versions)
    fill(small_disk / "ballast", leave=8192)
    with pytest.raises(StorageFullError, match=r"no segment can .* from memory"):
        collection.maintenance.flush()
    assert list((collection.path / "segments").iterdir()) == []
    with pytest.raises(StorageFullError, match="can't be written"):
        snapshot(collection, small_disk / "taken")
    assert {path.name for path in small_disk.iterdir()} == {"c", "ballast"}
    assert examine(collection.path, [dict(versions)]) == (dict(versions), [])
    (small_disk / "ballast").unlink()
    collection.maintenance.flush()
    assert collection.maintenance.flushed()
    snapshot(collection, tmp_path / "taken")
    fill(small_disk / "ballast", leave=8192)
    with pytest.raises(StorageFullError, match="can't be written"):
        restore(tmp_path / "taken", small_disk / "restored")
    assert {path.name for path in small_disk.iterdir()} == {"c", "ballast"}
    assert examine(collection.path, [dict(versions)]) == (dict(versions), [])


def test_the_background_goes_on_once_there_is_space(small_disk, caplog):
    collection = Collection.create(small_disk / "c", [SPARSE, DENSE], QUIET)
    versions = [(f"d{n}", 1) for n in range(1500)]
    upsert(collection, versions)
    collection.close()
    # Enough for SQLite to open its journal, not for a segment.
    fill(small_disk / "ballast", leave=50_000)
    collection = Collection.open(collection.path, CONFIG)
    collection.maintenance.wake()
    wait_until(lambda: caplog.records)
    assert "a segment build failed and is retried later" in caplog.text
    (small_disk / "ballast").unlink()
    wait_until(lambda: collection.describe()["segments"] == 1)
    collection.close()
    assert examine(collection.path, [dict(versions)]) == (dict(versions), [])


def test_a_disk_too_full_to_open_a_collection_is_not_called_damage(small_disk):
    collection = Collection.create(small_disk / "c", [SPARSE, DENSE], QUIET)
    upsert(collection, [("a", 1)])
    collection.close()
    fill(small_disk / "ballast")
    with pytest.raises(LsrError, match=r"can't be opened .* see that its disk has space") as raised:
        Collection.open(collection.path)
    assert not isinstance(raised.value, CorruptionError)
    (small_disk / "ballast").unlink()
    assert examine(collection.path, [{"a": 1}]) == ({"a": 1}, [])


def _write_with_limit(path, pipe):
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    expected, error = upsert_until_failure(Collection.open(path, QUIET))
    pipe.send((expected, str(error)))


def test_a_write_that_the_system_cuts_short_loses_nothing(tmp_path):
    collection = Collection.create(tmp_path / "c", [SPARSE, DENSE], QUIET)
    collection.close()
    reading, writing = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_write_with_limit, args=(collection.path, writing))
    process.start()
    writing.close()
    expected, message = reading.recv()
    process.join()
    assert expected
    assert message.startswith("nothing was written to")
    assert examine(collection.path, [expected]) == (expected, [])
