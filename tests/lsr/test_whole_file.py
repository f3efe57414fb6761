"""A file has what was written, or what it had before."""

import pytest

from lsr.whole_file import replacing, write_whole


def test_it_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("begun", [False, True])
def test_an_error_leaves_what_was_there(tmp_path, begun):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as partial:
            if begun:
                partial.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_gone_with_the_next_write(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as partial:
        partial.write_text("half of a longer text")
        left = partial.read_bytes()
    partial.write_bytes(left)
    write_whole(path, "whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_has_the_text_is_left_alone(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "text")
    before = path.stat()
    write_whole(path, "text")
    assert path.stat() == before
