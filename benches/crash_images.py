"""What a disk would hold after a power cut: what was flushed, and nothing else for sure.

A writer runs under strace, and its calls are played again into a model of the disk: a file has
what was written and what was flushed of it, a folder the names that it has and those that were
flushed. After some of these calls the disk is cut off. What was flushed is laid out as a
collection, with none of the later writes to files, or with a part of them, and looked at: every
acknowledged write must be there, the one in flight wholly or not at all, and nothing is called
damage that is none.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benches.crash import DENSE, SPARSE, State, applied, choose, examine, perform
from benches.flips import QUIET
from index.collection.collection import Collection
from lsr.errors import LsrError

OPERATIONS = 14
CALLS = (
    "openat,write,pwrite64,lseek,ftruncate,fsync,fdatasync,rename,renameat,renameat2,"
    "unlink,unlinkat,mkdir,mkdirat"
)
# What of a file that is not flushed may be on the disk, in pieces of this many bytes.
SECTOR = 512
LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)(?:<.*>)?(?: .*)?$")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
OPENED = re.compile(r"^(\d+)<((?:\\x[0-9a-f]{2})*)>")


def operations(seed: int, folder: Path) -> Iterator[tuple[State, tuple[object, ...], State]]:
    """The operations of a run with the states before and after each; the same for one seed."""
    numbers, state = random.Random(seed), State()
    for version in range(1, OPERATIONS + 1):
        operation = choose(numbers, state, version, folder)
        if operation[0] == "snapshot":
            operation = ("flush",)
        after = applied(state, operation)
        yield state, operation, after
        state = after


def run(path: Path, seed: int) -> None:
    """Carry the operations out, each told on standard output once it is acknowledged."""
    collection = Collection.open(path, QUIET)
    for _, operation, _ in operations(seed, path.parent):
        perform(collection, operation)
        sys.stdout.write("done\n")
        sys.stdout.flush()
    collection.close()


@dataclass
class File:
    """What is written of a file, what is flushed of it, and the writes in between."""

    written: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""
    since: list[tuple[int, bytes]] = field(default_factory=list)

    def write(self, place: int, data: bytes) -> None:
        """Write at a place."""
        self.written.extend(bytes(max(0, place + len(data) - len(self.written))))
        self.written[place : place + len(data)] = data
        self.since.append((place, data))

    def flush(self) -> None:
        """All that is written is on disk."""
        self.flushed, self.since = bytes(self.written), []

    def after_a_cut(self, numbers: random.Random | None) -> bytes:
        """What the disk has: what was flushed, and where there are numbers, sectors of the rest."""
        content = bytearray(self.flushed)
        for place, data in self.since if numbers else ():
            for start in range(0, len(data), SECTOR):
                if numbers.random() < 0.5:  # type: ignore[union-attr]
                    piece = data[start : start + SECTOR]
                    content.extend(bytes(max(0, place + start + len(piece) - len(content))))
                    content[place + start : place + start + len(piece)] = piece
        return bytes(content)


class Disk:
    """The files under one folder, as a sequence of calls leaves them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[Path, File] = {}
        self._flushed: dict[Path, File] = {}
        self._open: dict[int, tuple[File, int]] = {}
        self.acknowledged = 0
        for path in folder.rglob("*"):
            if path.is_file():
                file = File(bytearray(path.read_bytes()))
                file.flush()
                self._names[path] = self._flushed[path] = file

    def call(self, name: str, arguments: str, result: int) -> bool:
        """Take a call in; whether it changed anything."""
        paths = (
            [Path(_bytes(text).decode()) for text in STRING.findall(arguments)[:2]]
            if name in {"openat", "rename", "renameat", "renameat2", "unlink", "unlinkat"}
            else []
        )
        opened = OPENED.match(arguments)
        handle = int(opened[1]) if opened else -1
        place = Path(_bytes(opened[2]).decode()) if opened else Path()
        if result < 0:
            return False
        if name == "openat":
            return self._opened(paths[0], arguments, result)
        if name.startswith("rename") and paths[0] in self._names:
            self._names[paths[1]] = self._names.pop(paths[0])
        elif name.startswith("unlink") and paths[0] in self._names:
            del self._names[paths[0]]
        elif name == "write" and handle == 1:
            self.acknowledged += 1
        elif name in {"fsync", "fdatasync"} and place.is_relative_to(self._folder):
            self._flush(handle, place)
        elif handle in self._open and place.is_relative_to(self._folder):
            self._change(name, handle, arguments, result)
        else:
            return False
        return name != "lseek"

    def _opened(self, path: Path, arguments: str, handle: int) -> bool:
        self._open.pop(handle, None)
        if not path.is_relative_to(self._folder) or path.suffix.endswith("-shm"):
            return False
        created = path not in self._names and "O_CREAT" in arguments
        if created:
            self._names[path] = File()
        if path in self._names:
            self._open[handle] = (self._names[path], 0)
            if "O_TRUNC" in arguments:
                self._names[path].written.clear()
        return created

    def _change(self, name: str, handle: int, arguments: str, result: int) -> None:
        file, position = self._open[handle]
        if name == "lseek":
            self._open[handle] = (file, result)
        elif name == "ftruncate":
            size = int(arguments.rpartition(", ")[2])
            del file.written[size:]
            file.written.extend(bytes(size - len(file.written)))
        else:
            data = _bytes(STRING.findall(arguments)[0])[:result]
            if name == "write":
                self._open[handle] = (file, position + result)
            else:
                position = int(arguments.rpartition(", ")[2])
            file.write(position, data)

    def _flush(self, handle: int, place: Path) -> None:
        if handle in self._open and place in self._names:
            self._open[handle][0].flush()
            return
        if place in self._names:
            self._names[place].flush()
        for names, other in ((self._names, self._flushed), (self._flushed, self._names)):
            for path in [path for path in names if path.parent == place]:
                if names is self._names:
                    self._flushed[path] = self._names[path]
                elif path not in other:
                    del self._flushed[path]

    def lay_out(self, folder: Path, numbers: random.Random | None) -> None:
        """Write what a cut leaves of it into a folder."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "segments").mkdir(parents=True)
        for path, file in self._flushed.items():
            target = folder / path.relative_to(self._folder)
            target.write_bytes(file.after_a_cut(numbers))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def trace(folder: Path, seed: int) -> tuple[Path, Disk, list[tuple[str, str, int]]]:
    """Run a writer under strace: the collection, the disk before it, and its calls."""
    path, output = folder / "live", folder / "trace"
    Collection.create(path, [SPARSE, DENSE], QUIET).close()
    disk = Disk(path)
    program = f"from benches.crash_images import *; run(Path({str(path)!r}), {seed})"
    command = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-o", output, "-e", f"trace={CALLS}"]
    subprocess.run(
        [*command, sys.executable, "-c", program],
        check=True,
        cwd=Path(__file__).resolve().parent.parent,
        stdout=subprocess.DEVNULL,
    )
    found = [LINE.match(line) for line in output.read_text().splitlines()]
    return path, disk, [(call[1], call[2], int(call[3])) for call in found if call]


def images(folder: Path, count: int, seed: int) -> Iterator[list[str]]:
    """What is wrong with each of the images of some moments; nothing without strace."""
    if shutil.which("strace") is None:
        return
    _, disk, calls = trace(folder, seed)
    numbers = random.Random(seed)
    states = list(operations(seed, folder))
    moments = [place for place, call in enumerate(calls) if call[0] not in {"lseek", "openat"}]
    chosen = set(numbers.sample(moments, min(count, len(moments))))
    for place, call in enumerate(calls):
        disk.call(*call)
        if place in chosen:
            for cut in (None, numbers):
                disk.lay_out(folder / "image", cut)
                yield _look(folder / "image", states, disk.acknowledged, place)


def _look(
    path: Path,
    states: Sequence[tuple[State, tuple[object, ...], State]],
    acknowledged: int,
    place: int,
) -> list[str]:
    allowed = (
        [states[acknowledged][0], states[acknowledged][2]]
        if acknowledged < len(states)
        else [states[-1][2]]
    )
    try:
        problems = examine(path, allowed)[1]
    except LsrError as error:
        problems = [str(error)]
    return [f"after call {place}, {acknowledged} acknowledged: {problem}" for problem in problems]
