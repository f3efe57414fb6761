"""The files of a folder that are to be read, and what is passed over and why."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lsr.corpus.files import suffix_within
from lsr.corpus.readers.passed_over import FOLDERS, PassedOver
from lsr.errors import UsageError

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".gitignore"
LARGEST_IGNORE_FILE = 1 << 20
# What patterns raise that can't be understood.
MALFORMED = (ValueError, re.error)
# Folders that hold what others wrote, for a program and not for its readers.
VENDORED = frozenset(
    ("node_modules", "bower_components", "jspm_packages", "site-packages", "__pycache__")
)
# "vendor" is such a folder where one of these files stands beside it.
VENDOR = "vendor"
VENDORING = frozenset(("go.mod", "composer.json", "gemfile", "cargo.toml"))
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file: its path, its path within the folder with ``/``, and its size in bytes."""

    path: Path
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of a folder are read: patterns as in a .gitignore file, in any case of letters.

    With ``include``, only files that match; never one that ``exclude`` matches.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


EVERYTHING = Selection()


def folder_files(folder: Path, selection: Selection, passed: PassedOver) -> Iterator[FolderFile]:
    """The files of a folder and of those inside it, sorted by their paths.

    Left out are files whose name begins with a dot, what .gitignore files in the folder name,
    vendored folders, links, and what is no regular file.

    Raises:
        UsageError: a pattern is malformed.
    """
    wanted = _patterns(selection.include) if selection.include else None
    unwanted = _patterns(selection.exclude)
    for found in _Walk(passed, unwanted).files(folder):
        ending = ending_of(found.path)
        if unwanted.match_file(found.name.lower()):
            passed.add(ending, "excluded")
        elif wanted is not None and not wanted.match_file(found.name.lower()):
            passed.add(ending, "not included")
        else:
            yield found


def ending_of(path: Path) -> str:
    """A file's ending as it is told to people."""
    ending = suffix_within(path) or "without ending"
    return ending.encode(errors="backslashreplace").decode()


def _patterns(lines: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines([line.lower() for line in lines])
    except MALFORMED as error:
        raise UsageError(f"a pattern is malformed: {error}") from None


class _Inside(NamedTuple):
    """A folder that is gone through: what is left of it, its name, what stands in it, and the
    ignore files that hold for it, each with the name of its folder.
    """

    entries: Iterator[os.DirEntry[str]]
    prefix: str
    names: frozenset[str]
    ignoring: tuple[tuple[str, GitIgnoreSpec], ...]


class _Walk:
    """Goes through a folder, without following links."""

    def __init__(self, passed: PassedOver, unwanted: GitIgnoreSpec) -> None:
        self._passed = passed
        self._unwanted = unwanted

    def files(self, root: Path) -> Iterator[FolderFile]:
        """The files below, but for those that are passed over."""
        open_folders = [inside] if (inside := self._enter(str(root), "", ())) else []
        while open_folders:
            inside = open_folders[-1]
            entry = next(inside.entries, None)
            if entry is None:
                open_folders.pop()
                continue
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
                reason = self._reason(entry, is_folder, inside)
                if reason:
                    kind = FOLDERS if is_folder else ending_of(Path(entry.name))
                    self._passed.add(kind, reason)
                elif is_folder:
                    name = f"{inside.prefix}{entry.name}/"
                    if below := self._enter(entry.path, name, inside.ignoring):
                        open_folders.append(below)
                else:
                    size = entry.stat(follow_symlinks=False).st_size
                    yield FolderFile(Path(entry.path), inside.prefix + entry.name, size)
            except OSError as error:
                kind = ending_of(Path(entry.name))
                self._passed.add(kind, f"can't be read: {error.strerror}", missing=True)

    def _enter(
        self, path: str, prefix: str, ignoring: tuple[tuple[str, GitIgnoreSpec], ...]
    ) -> _Inside | None:
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._passed.add(FOLDERS, f"can't be read: {error.strerror}", missing=True)
            return None
        names = frozenset(entry.name.lower() for entry in found)
        if prefix and VIRTUAL_ENVIRONMENT in names:
            self._passed.add(FOLDERS, "vendored")
            return None
        for entry in found:
            if entry.name == IGNORE_FILE and entry.is_file(follow_symlinks=False):
                ignoring = (*ignoring, (prefix, _ignore_file(Path(entry.path))))
        return _Inside(iter(found), prefix, names, ignoring)

    def _reason(self, entry: os.DirEntry[str], is_folder: bool, inside: _Inside) -> str:
        """Why an entry is passed over; empty where it isn't."""
        if entry.name.startswith("."):
            return "hidden"
        if entry.is_symlink():
            return "links"
        if not is_folder and not entry.is_file(follow_symlinks=False):
            return "no regular file"
        lower = entry.name.lower()
        vendoring = lower == VENDOR and not VENDORING.isdisjoint(inside.names)
        if is_folder and (lower in VENDORED or vendoring):
            return "vendored"
        name = inside.prefix + entry.name + "/" * is_folder
        if _ignored(name, inside.ignoring):
            return f"ignored by {IGNORE_FILE}"
        if is_folder and self._unwanted.match_file(name.lower()):
            return "excluded"
        return ""


def _ignore_file(path: Path) -> GitIgnoreSpec:
    """Its patterns; git leaves a malformed one aside, and so do we."""
    from pathspec import GitIgnoreSpec

    with path.open("rb") as stream:
        text = stream.read(LARGEST_IGNORE_FILE).decode("utf-8-sig", "replace")
    return GitIgnoreSpec.from_lines(line for line in text.splitlines() if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    """Whether git would take it; it leaves a malformed one aside."""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except MALFORMED:
        return False
    return True


def _ignored(name: str, ignoring: tuple[tuple[str, GitIgnoreSpec], ...]) -> bool:
    """Whether ignore files name a path; the one nearest to it that does decides."""
    for prefix, spec in reversed(ignoring):
        told = spec.check_file(name.removeprefix(prefix)).include
        if told is not None:
            return told
    return False
