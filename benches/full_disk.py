"""Every operation on a disk that is full at another step each time, and on one that is read-only.

A collection lies on a small file system of its own, which a ballast fills but for so many bytes. An
operation then succeeds, or fails with one sentence and leaves the collection as it was: nothing is
half done, nothing is called damage, and once there is space the same operation succeeds. On a
read-only disk everything that reads works, and what writes is refused.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benches.crash import DENSE, SPARSE, State, examine, upsert
from benches.flips import QUIET
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.repair import repair
from index.collection.snapshot import restore, snapshot
from lsr.errors import CorruptionError, LsrError, StorageFullError

PAGE = 4096
BEFORE: State = {f"d{n}": 1 for n in range(60)}
WRITTEN: State = {f"e{n}": 2 for n in range(40)}


@dataclass(slots=True)
class Step:
    """What an operation did with so many bytes left, and what was wrong with that."""

    operation: str
    left: int
    outcome: str
    problems: list[str] = field(default_factory=list)


def _upsert(disk: Path) -> State:
    with closing(Collection.open(disk / "c", QUIET)) as collection:
        upsert(collection, WRITTEN.items())
    return BEFORE | WRITTEN


def _delete(disk: Path) -> State:
    with closing(Collection.open(disk / "c", QUIET)) as collection:
        collection.delete(["d1", "d59"])
    return {name: version for name, version in BEFORE.items() if name not in {"d1", "d59"}}


def _flush(disk: Path) -> State:
    with closing(Collection.open(disk / "c", QUIET)) as collection:
        collection.maintenance.flush()
    return BEFORE


def _snapshot(disk: Path) -> State:
    with closing(Collection.open(disk / "c", QUIET)) as collection:
        snapshot(collection, disk / "taken")
    return BEFORE


def _restore(disk: Path) -> State:
    restore(disk.with_name("kept") / "taken", disk / "restored")
    return BEFORE


def _create(disk: Path) -> State:
    Collection.create(disk / "new", [SPARSE, DENSE], QUIET).close()
    return BEFORE


def _repair(disk: Path) -> State:
    with closing(Collection.open(disk / "c", QUIET)) as collection:
        for path in collection.maintenance.segments.iterdir():
            path.unlink()
        repair(collection, check(collection))
    return BEFORE


OPERATIONS: dict[str, Callable[[Path], State]] = {
    "create": _create,
    "upsert": _upsert,
    "delete": _delete,
    "flush": _flush,
    "snapshot": _snapshot,
    "restore": _restore,
    "repair": _repair,
}


def full_disk(folder: Path, steps: int) -> Iterator[Step]:
    """Each operation with 0, 1, ... pages left, then ever more; nothing without the right to mount.

    Args:
        folder: an empty one.
        steps: how many amounts of space for each operation.
    """
    kept = folder / "kept"
    with closing(Collection.create(kept / "c", [SPARSE, DENSE], QUIET)) as collection:
        upsert(collection, list(BEFORE.items())[:50])
        collection.maintenance.flush()
        upsert(collection, list(BEFORE.items())[50:])
        snapshot(collection, kept / "taken")
    with _mounted(folder / "disk", ["-t", "tmpfs", "-o", "size=4m", "none"]) as disk:
        for name in OPERATIONS if disk else ():
            for step in range(steps):
                left = PAGE * (step if step < steps // 2 else step * step // 2)
                yield _try(disk, kept, name, left)


def _try(disk: Path, kept: Path, name: str, left: int) -> Step:
    for path in disk.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(kept / "c", disk / "c")
    _fill(disk / "ballast", left)
    step, allowed = Step(name, left, "done"), [BEFORE]
    names = {path.name for path in disk.iterdir()}
    try:
        allowed = [OPERATIONS[name](disk)]
    except StorageFullError:
        step.outcome = "refused, full"
    except CorruptionError as error:
        step.problems.append(f"{name} with {left} bytes left says that there is damage: {error}")
    except LsrError:
        step.outcome = "refused, can't be written"
    left_over = {path.name for path in disk.iterdir()} - names
    if step.outcome != "done" and left_over - {"new"}:
        step.problems.append(f"{name} with {left} bytes left leaves {left_over}")
    (disk / "ballast").unlink()
    if step.outcome != "done":
        problems = examine(disk / "c", [BEFORE])[1]
        # The segments were taken away; that may be all.
        if name != "repair":
            step.problems += problems
        shutil.rmtree(disk / "new", ignore_errors=True)
        allowed = [OPERATIONS[name](disk)]
    step.problems += examine(disk / "c", allowed)[1]
    return step


def _fill(ballast: Path, leave: int) -> None:
    with ballast.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(PAGE))
        except OSError:
            stream.truncate(max(0, stream.tell() - leave))


def read_only(folder: Path) -> Iterator[Step]:
    """Each operation on a collection of a read-only disk; nothing without the right to mount."""
    with closing(Collection.create(folder / "c", [SPARSE, DENSE], QUIET)) as collection:
        upsert(collection, BEFORE.items())
    with (
        _mounted(folder / "mounted", ["--bind", str(folder)]) as disk,
        _mounted(disk, ["-o", "remount,ro,bind"]) as there,
    ):
        if not there:
            return
        before = sorted(path.name for path in (there / "c").rglob("*"))
        step = Step("read", 0, "done", examine(there / "c", [BEFORE])[1])
        with closing(Collection.open(there / "c")) as opened:
            snapshot(opened, folder / "elsewhere")
        yield step
        for name in ("upsert", "delete", "flush"):
            step = Step(name, 0, "done")
            try:
                OPERATIONS[name](there)
                step.problems.append(f"{name} wrote to a read-only disk")
            except LsrError:
                step.outcome = "refused, read-only"
            if sorted(path.name for path in (there / "c").rglob("*")) != before:
                step.problems.append(f"{name} made a file on a read-only disk")
            yield step


@contextmanager
def _mounted(place: Path | None, arguments: list[str]) -> Iterator[Path | None]:
    if place is None:
        yield None
        return
    place.mkdir(exist_ok=True)
    command = ["mount", *arguments, str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield place
    finally:
        if "remount,ro,bind" not in arguments:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
