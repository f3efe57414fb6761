"""What is copied and what is passed over, without a server."""

import json
import os
import shutil
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.snapshot_files import MANIFEST
from index.snapshots.address import snapshot_store
from index.snapshots.object_store import ObjectStore
from lsr.errors import ConflictError, UsageError
from lsr.trusted_code import NO_CODE
from service.replica import copies as copies_module
from service.replica.copies import Copies
from service.replica.follower import Follower
from service.replica.following import Following
from tests.service.replica.conftest import Publisher


@pytest.fixture
def copies(tmp_path):
    return Copies(tmp_path / "copies")


@pytest.fixture
def follower(publisher, copies):
    return Follower(snapshot_store(publisher.address), copies, NO_CODE)


def answering(copies):
    """By index the name of the snapshot, and the state that every document of the copy is of."""
    found = {}
    for index, copy in copies.newest().items():
        collection = Collection.open(copy.path)
        states = {collection.get(each).metadata["state"] for each in collection.ids()}
        collection.close()
        assert len(states) == 1
        found[index] = copy.snapshot.name, states.pop()
    return found


def later(folder, name, seconds=3600):
    """Have the manifest of a snapshot say that it was taken later; its new name."""
    manifest = json.loads((folder / name / MANIFEST).read_text())
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    (folder / name / MANIFEST).write_text(json.dumps(manifest | {"created": moment}))


def test_what_is_newest_is_copied_once(publisher, copies, follower, caplog):
    first = publisher.publish()
    assert follower.look()
    assert not follower.look()
    assert answering(copies) == {"docs": (first, 1)}
    publisher.publish()
    newest = publisher.publish()
    assert follower.look()
    assert answering(copies) == {"docs": (newest, 3)}
    assert len(copies.newest()) == 1
    copies.keep(copies.newest())
    assert [path.name for path in (copies.folder / "docs").iterdir()] == [newest]


def test_an_older_one_that_comes_later_is_one_line(publisher, copies, follower, caplog):
    first = publisher.publish()
    second = publisher.publish()
    shutil.move(publisher.folder / first, publisher.folder.parent.parent / "aside")
    assert follower.look()
    shutil.move(publisher.folder.parent.parent / "aside", publisher.folder / first)
    assert not follower.look()
    assert not follower.look()
    lines = [each for each in caplog.messages if "is older than" in each]
    assert lines == [
        f"the snapshot docs/{first} is passed over: it is older than {second}, which answers"
    ]
    assert answering(copies) == {"docs": (second, 2)}


@pytest.mark.parametrize("lacking", ["segment", "store", "manifest"])
def test_one_that_is_still_written_waits_until_it_is_whole(
    publisher, copies, follower, caplog, lacking
):
    first = publisher.publish()
    assert follower.look()
    second = publisher.publish()
    place = publisher.folder / second
    file = {
        "segment": next((place / "segments").iterdir()),
        "store": place / "snapshot.sqlite",
        "manifest": place / MANIFEST,
    }[lacking]
    content = file.read_bytes()
    file.unlink()
    assert not follower.look()
    if lacking != "manifest":
        file.write_bytes(content[: len(content) // 2])
        assert not follower.look()
    assert answering(copies) == {"docs": (first, 1)}
    assert len([each for each in caplog.messages if "passed over" in each]) == 1
    # That is no failure.
    assert Following.read(copies.folder).failures == 0
    assert Following.read(copies.folder).problems() == {}
    file.write_bytes(content)
    assert follower.look()
    assert answering(copies) == {"docs": (second, 2)}


def test_a_damaged_one_is_tried_once_and_told_once(publisher, copies, follower, caplog):
    first = publisher.publish()
    assert follower.look()
    second = publisher.publish()
    store = publisher.folder / second / "snapshot.sqlite"
    whole = store.read_bytes()
    store.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    for _ in range(3):
        assert not follower.look()
    # Nor is it by the process that takes the place of this one.
    again = Follower(snapshot_store(publisher.address), copies, NO_CODE)
    assert not again.look()
    assert len([each for each in caplog.messages if "differs from what was written" in each]) == 1
    following = Following.read(copies.folder)
    assert following.failures == 1
    assert following.problems() == {"docs": f"the snapshot {second} is passed over"}
    assert answering(copies) == {"docs": (first, 1)}
    assert sorted(path.name for path in (copies.folder / "docs").iterdir()) == [first]
    # Mended, it is taken.
    store.write_bytes(whole)
    os.utime(store, ns=(1, 1))
    assert again.look()
    assert answering(copies) == {"docs": (second, 2)}
    assert Following.read(copies.folder).problems() == {}


def test_of_several_new_ones_the_newest_sound_one_is_taken(publisher, copies, follower):
    names = [publisher.publish() for _ in range(3)]
    segment = next((publisher.folder / names[2] / "segments").iterdir())
    content = bytearray(segment.read_bytes())
    content[-1] ^= 255
    segment.write_bytes(content)
    assert follower.look()
    assert answering(copies) == {"docs": (names[1], 2)}
    assert not follower.look()


def test_an_older_collection_under_a_new_manifest_is_believed_by_its_checksums(
    publisher, copies, follower
):
    first = publisher.publish()
    second = publisher.publish()
    assert follower.look()
    third = publisher.publish()
    (publisher.folder / third / MANIFEST).rename(publisher.folder.parent / "manifest")
    # Who publishes an earlier state anew goes back to it.
    later(publisher.folder, first)
    assert follower.look()
    assert answering(copies) == {"docs": (first, 1)}
    # A manifest that vouches for the files of another snapshot vouches for nothing.
    (publisher.folder.parent / "manifest").rename(publisher.folder / third / MANIFEST)
    shutil.copy(publisher.folder / second / "snapshot.sqlite", publisher.folder / third)
    later(publisher.folder, third, 7200)
    assert not follower.look()


def test_what_cannot_be_searched_does_not_answer(publisher, copies, follower, caplog):
    first = publisher.publish()
    assert follower.look()
    publisher.publish()
    (segment,) = (publisher.folder.parent.parent / "source-docs" / "segments").glob("*")
    assert segment.exists()

    class Broken(Follower):
        def _check_searched(self, path):
            from lsr.errors import NotFoundError

            raise NotFoundError("there is no encoder 'x'; install it")

    again = Broken(snapshot_store(publisher.address), copies, NO_CODE)
    assert not again.look()
    assert not again.look()
    assert len([each for each in caplog.messages if "there is no encoder 'x'" in each]) == 1
    assert answering(copies) == {"docs": (first, 1)}


def test_a_disk_without_space_is_passed_over(publisher, copies, follower, caplog, monkeypatch):
    first = publisher.publish()
    assert follower.look()
    publisher.publish()
    monkeypatch.setattr(copies, "free", lambda: 1000)
    assert not follower.look()
    assert "the disk of the copies has 1,000" in caplog.text
    assert answering(copies) == {"docs": (first, 1)}


def test_a_store_that_goes_away_is_told_once_and_comes_back(publisher, copies, follower, caplog):
    publisher.publish()
    assert follower.look()
    place = publisher.folder.parent
    place.rename(place.with_name("away"))
    for _ in range(3):
        assert not follower.look()
    assert len([each for each in caplog.messages if "can't be read" in each]) == 1
    assert Following.read(copies.folder).problems() == {"": "the snapshots can't be reached"}
    place.with_name("away").rename(place)
    newest = publisher.publish()
    assert follower.look()
    assert Following.read(copies.folder).problems() == {}
    assert answering(copies)["docs"] == (newest, 2)


def test_several_collections_are_followed_each_by_itself(publisher, copies, follower, tmp_path):
    other = Publisher(tmp_path, "other", 3)
    first, second = publisher.publish(), other.publish()
    (publisher.folder.parent / "no-snapshots").mkdir()
    (publisher.folder.parent / "?").mkdir()
    assert follower.look()
    assert answering(copies) == {"docs": (first, 1), "other": (second, 1)}
    newest = other.publish()
    assert follower.look()
    assert answering(copies) == {"docs": (first, 1), "other": (newest, 2)}
    other.collection.close()


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_an_object_store_is_followed_alike(tmp_path, copies, kind):
    publisher = Publisher(tmp_path)
    publisher.address = f"{kind}://{tmp_path}/objects"
    files = ObjectStore(publisher.address)
    follower = Follower(snapshot_store(publisher.address), copies, NO_CODE)
    assert not follower.look()
    first = publisher.publish()
    assert follower.look()
    assert not follower.look()
    assert answering(copies) == {"docs": (first, 1)}
    second = publisher.publish()
    store = f"{files._root}/docs/{second}/snapshot.sqlite"
    whole = files._fs.cat_file(store)
    for content in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), None):
        files._fs.pipe_file(store, content) if content else files._fs.rm_file(store)
        assert not follower.look()
        assert answering(copies) == {"docs": (first, 1)}
    files._fs.pipe_file(store, whole)
    assert follower.look()
    assert answering(copies) == {"docs": (second, 2)}
    publisher.collection.close()


def test_what_a_killed_copier_left_is_no_copy_and_goes(publisher, copies, follower):
    first = publisher.publish()
    assert follower.look()
    partial = copies.folder / "docs" / ".20270101T000000Z.x.partial" / "new"
    shutil.copytree(copies.newest()["docs"].path.parent, partial)
    bare = copies.folder / "docs" / "20270101T000000Z"
    shutil.copytree(copies.newest()["docs"].path, bare / "docs")
    assert answering(copies) == {"docs": (first, 1)}
    copies.keep(copies.newest())
    assert [path.name for path in (copies.folder / "docs").iterdir()] == [first]
    assert answering(copies) == {"docs": (first, 1)}


def test_a_folder_of_collections_is_none_of_copies(publisher, tmp_path):
    for folder in (tmp_path, tmp_path / "source-docs"):
        with pytest.raises(UsageError, match="give another, as in: lsr serve COPIES --follow"):
            Copies(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be made"):
        Copies(tmp_path / "file")


def test_two_replicas_do_not_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(copies_module, "LOCK_SECONDS", 0.0)
    first = Copies(tmp_path / "copies")
    first.lock()
    with pytest.raises(ConflictError, match=f"another replica .process {os.getpid()}"):
        Copies(tmp_path / "copies").lock()


def test_what_following_wrote_is_read_whatever_is_there(copies):
    file = copies.folder / ".lsr" / "following.json"
    for content in (b"", b"{}", b"[1]", b'{"looked": "x"}', b"\xff", b"[" * 100_000):
        file.write_bytes(content)
        assert Following.read(copies.folder) == Following()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_damage_is_ever_copied(publisher, tmp_path, data):
    """Any byte changed, any file cut, removed or replaced: the copy is what was published, or
    there is none.
    """
    if not publisher.states:
        publisher.publish()
    (name,) = publisher.states
    place = publisher.folder / name
    files = sorted(path for path in place.rglob("*") if path.is_file())
    file = data.draw(st.sampled_from(files))
    content = file.read_bytes()
    folder = tmp_path / f"copies-{time.monotonic_ns()}"
    made = Copies(folder)
    try:
        how = data.draw(st.sampled_from(["flip", "cut", "remove", "grow", "link"]))
        at = data.draw(st.integers(0, len(content) - 1))
        if how == "flip":
            bit = 1 << data.draw(st.integers(0, 7))
            file.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
        elif how == "cut":
            file.write_bytes(content[:at])
        elif how == "grow":
            file.write_bytes(content + b"x")
        else:
            file.unlink()
            if how == "link":
                file.symlink_to("/dev/zero")
        if Follower(snapshot_store(publisher.address), made, NO_CODE).look():
            ((_, copy),) = made.newest().items()
            collection = Collection.open(copy.path)
            assert collection.digest() == publisher.collection.digest()
            collection.close()
        else:
            assert made.newest() == {}
    finally:
        file.unlink(missing_ok=True)
        file.write_bytes(content)
        shutil.rmtree(folder)
