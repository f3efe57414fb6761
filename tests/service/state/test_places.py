"""Folders that come, go and are exchanged, beside the served ones."""

import os
import time

import pytest

from lsr.errors import UsageError
from lsr.whole_folder import exchange
from service.state.places import ABANDONED_SECONDS, DELETED_SECONDS, Places


def make(folder, content):
    folder.mkdir(parents=True)
    (folder / "file").write_text(content)
    return folder


def test_two_folders_exchange_their_names(tmp_path):
    first, second = make(tmp_path / "a" / "one", "1"), make(tmp_path / "b" / "two", "2")
    exchange(first, second)
    assert [(each / "file").read_text() for each in (first, second)] == ["2", "1"]
    with pytest.raises(FileNotFoundError):
        exchange(first, tmp_path / "none")
    assert (first / "file").read_text() == "2"


def test_a_folder_is_replaced_in_one_instant_and_its_files_go_later(tmp_path):
    places = Places(tmp_path)
    make(tmp_path / "index", "old")
    with places.creating() as made:
        make(made, "new")
        places.replace(made, "index")
    assert (tmp_path / "index" / "file").read_text() == "new"
    (deleted,) = (tmp_path / ".lsr" / "deleted").iterdir()
    assert (deleted / "file").read_text() == "old"
    places.remove_leftovers()
    assert deleted.exists()
    deleted.rename(deleted.with_name(f"{int(time.time() - DELETED_SECONDS - 2)}-x"))
    places.remove_leftovers()
    assert not any((tmp_path / ".lsr" / "deleted").iterdir())
    assert not any((tmp_path / ".lsr" / "creating").iterdir())


def test_where_folders_cannot_be_exchanged_nothing_changes(tmp_path):
    places = Places(tmp_path)
    with places.creating() as made:
        make(made, "new")
        with pytest.raises(UsageError, match="can't exchange two folders"):
            places.replace(made, "index")
        assert (made / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == [".lsr"]


def test_what_a_killed_process_was_making_is_removed_once_it_is_old(tmp_path):
    places = Places(tmp_path)
    young, old = (tmp_path / ".lsr" / "creating" / name for name in ("young", "old"))
    for each in (young, old):
        make(each / "new", "half")
    then = time.time() - ABANDONED_SECONDS - 1
    os.utime(old, (then, then))
    places.remove_leftovers()
    assert [each.exists() for each in (young, old)] == [True, False]
