"""Of a folder every file is read, or counted with the reason why it isn't."""

import os
import subprocess

import pytest

from lsr.corpus.readers.corpus import Corpus, Reading
from lsr.corpus.readers.folder import Selection
from lsr.errors import InputError, UsageError


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "docs"
    made.mkdir()
    return made


def fill(folder, *names, text="text"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def ids(folder, include=(), exclude=()):
    corpus = Corpus(str(folder), Reading(selection=Selection(tuple(include), tuple(exclude))))
    return [item.document.id for item in corpus], corpus.passed_over


def counts(passed):
    return {(kind.ending, kind.reason): count for kind, count in passed.kinds.items()}


def test_endings_count_in_any_case(folder):
    fill(folder, "a.txt", "B.TXT", "c.Md", "D.HTML", "e.PY", "README", "NEWS.Debian")
    found, passed = ids(folder)
    assert found == ["B.TXT", "D.HTML", "NEWS.Debian", "README", "a.txt", "c.Md", "e.PY"]
    assert passed.sentence() == ""


def test_tables_and_texts_stand_side_by_side(folder):
    fill(folder, "a.csv", text="id,text\nrow,b")
    fill(folder, "b.JSONL", text='{"id": "line", "text": "b"}')
    fill(folder, "c.json", text='{"title": "alone", "text": "b"}')
    fill(folder, "d.md")
    assert ids(folder)[0] == ["row", "line", "c.json", "d.md"]


def test_every_file_is_read_or_counted(folder):
    names = ["a.txt", "deep/b.md", "c.xyz", "d.xyz", "E.PNG", ".hidden.txt", ".git/config"]
    names += ["node_modules/x/i.js", "env/pyvenv.cfg", "env/lib/x.py", "vendor/kept.txt"]
    names += ["go/go.mod", "go/vendor/x.go", "go/main.go", "nothing"]
    fill(folder, *names)
    (folder / "binary").write_bytes(b"\x7fELF\0\0")
    (folder / "link.txt").symlink_to(folder / "a.txt")
    (folder / "loop").symlink_to(folder)
    (folder / "broken.txt").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.txt")
    found, passed = ids(folder)
    assert found == ["a.txt", "deep/b.md", "go/main.go", "nothing", "vendor/kept.txt"]
    assert counts(passed) == {
        (".xyz", "of no kind that is read"): 2,
        (".png", "of no kind that is read"): 1,
        (".mod", "of no kind that is read"): 1,
        (".txt", "hidden"): 1,
        ("folders", "hidden"): 1,
        ("folders", "vendored"): 3,
        (".txt", "links"): 2,
        ("without ending", "links"): 1,
        ("without ending", "no text"): 1,
        (".txt", "no regular file"): 1,
    }
    sentence = passed.sentence()
    assert "\n" not in sentence
    assert sentence.startswith("passed over: 2 .xyz, ")
    assert "3 folders (vendored)" in sentence
    assert sum(kind["files"] for kind in passed.as_json()["passed_over"]) == 14
    assert passed.incomplete == ""


IGNORE = "*.log\n!keep.log\nbuild/\n/top.txt\n# comment\n\n[z-a]\nsub/only.md\n"


def test_gitignore_is_obeyed_as_git_does(folder):
    names = ["a.log", "keep.log", "build/x.txt", "deep/build/x.txt", "top.txt", "deep/top.txt"]
    names += [
        "sub/only.md",
        "deep/sub/only.md",
        "deep/a.log",
        "other/a.log",
        "other/b.txt",
        "build.txt",
    ]
    fill(folder, *names)
    (folder / ".gitignore").write_text(IGNORE)
    (folder / "other" / ".gitignore").write_bytes("\ufeffb.txt\r\n!a.log\r\n".encode())
    subprocess.run(["git", "init", "-q", folder], check=True)
    listed = subprocess.run(
        ["git", "-C", folder, "ls-files", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert ids(folder)[0] == sorted(name for name in listed if not name.endswith(".gitignore"))


def test_include_and_exclude(folder):
    fill(folder, "a.txt", "b.HTML", "docs/c.html", "docs/old/d.html", "e.conf.in", "f.png")
    assert ids(folder, ["*.html"])[0] == ["b.HTML", "docs/c.html", "docs/old/d.html"]
    assert ids(folder, ["docs/"], ["old/"])[0] == ["docs/c.html"]
    assert ids(folder, exclude=["*.html", "*.in"])[0] == ["a.txt"]
    found, passed = ids(folder, ["*.in"])
    assert found == ["e.conf.in"]
    assert counts(passed)[".html", "not included"] == 3
    with pytest.raises(UsageError, match="a pattern is malformed"):
        ids(folder, ["[z-a]"])
    with pytest.raises(InputError, match=r"no file that is read \(passed over: .*not included"):
        ids(folder, ["*.pdf"])


def test_a_file_alone_takes_no_patterns(folder):
    fill(folder, "a.txt")
    with pytest.raises(UsageError, match="choose files of a folder"):
        Corpus(str(folder / "a.txt"), Reading(selection=Selection(("*.txt",))))


def test_old_encodings_are_named(folder):
    (folder / "a.txt").write_bytes("Übergröße".encode("latin-1"))
    found = Corpus(str(folder))
    assert [item.document.text for item in found] == ["Übergröße"]
    assert found.passed_over.sentence() == "1 file read as Windows-1252, being no UTF-8"
    assert list(found)
    assert found.passed_over.notes.total() == 1


def test_names_that_are_no_unicode_are_refused_alone(folder):
    fill(folder, "a.txt")
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    (folder / os.fsdecode(b"x.caf\xe9")).write_text("x")
    items = list(corpus := Corpus(str(folder)))
    assert [bool(item.document) for item in items] == [True, False]
    assert "half of a surrogate pair" in items[1].reason
    corpus.passed_over.sentence().encode()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read all")
def test_a_folder_that_cannot_be_read_makes_the_source_incomplete(folder):
    fill(folder, "a.txt", "locked/b.txt")
    (folder / "locked").chmod(0)
    try:
        found, passed = ids(folder)
    finally:
        (folder / "locked").chmod(0o755)
    assert found == ["a.txt"]
    assert "can't be read" in passed.incomplete


def test_a_file_that_is_gone_when_its_turn_comes_is_an_item(folder):
    fill(folder, "a.txt", "b.txt", "c.csv")
    corpus = Corpus(str(folder))
    (folder / "b.txt").unlink()
    (folder / "c.csv").unlink()
    reasons = [item.reason for item in corpus]
    assert reasons[0] == ""
    assert all("can't be read" in reason for reason in reasons[1:])
