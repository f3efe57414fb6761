"""A folder appears whole, or what was there stays as it was."""

import pytest

from lsr.whole_folder import appearing


def names(place):
    return sorted(str(path.relative_to(place)) for path in place.rglob("*"))


@pytest.mark.parametrize("options", [{}, {"replace": True}, {"durable": True}])
def test_it_gets_its_name_at_the_end(tmp_path, options):
    with appearing(tmp_path / "a", **options) as new:
        (new / "file").write_text("x")
        assert not (tmp_path / "a").exists()
    assert names(tmp_path) == ["a", "a/file"]
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("replace", [False, True])
def test_an_error_leaves_what_was_there(tmp_path, replace):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("x")

    def fail():
        with appearing(tmp_path / "a", replace=replace) as new:
            (new / "file").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path) == ["a", "a/old"]


@pytest.mark.parametrize("replace", [False, True])
def test_it_replaces_only_what_it_may(tmp_path, replace):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("x")

    def fill():
        with appearing(tmp_path / "a", replace=replace) as new:
            (new / "new").write_text("x")

    if replace:
        fill()
        assert names(tmp_path) == ["a", "a/new"]
    else:
        with pytest.raises(OSError, match="not empty"):
            fill()
        assert names(tmp_path) == ["a", "a/old"]


def test_folders_above_are_made_where_that_is_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError), appearing(tmp_path / "no" / "a"):
        pass
    with appearing(tmp_path / "no" / "a", parents=True):
        pass
    assert names(tmp_path) == ["no", "no/a"]


def test_the_earlier_folder_comes_back_where_the_new_one_cannot(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("x")
    rename = type(tmp_path).rename

    def failing(path, target):
        if path.name == "new":
            raise OSError("no")
        return rename(path, target)

    monkeypatch.setattr(type(tmp_path), "rename", failing)
    with pytest.raises(OSError, match="no"), appearing(tmp_path / "a", replace=True):
        pass
    assert names(tmp_path) == ["a", "a/old"]
