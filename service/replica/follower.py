"""Looking for newer snapshots, and copying them: what a process of its own does for a replica."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from index.collection.snapshot import replicate
from index.collection.snapshot_files import TakenSnapshot
from index.snapshots.store import PublishedSnapshot, SnapshotStore
from lsr.errors import CorruptionError, LsrError, NotFoundError, UnavailableError, UsageError
from lsr.trusted_code import TrustedCode
from service.api.indexes import Indexes
from service.replica.copies import Copies, Copy
from service.replica.following import Following, PassedOver
from service.state.places import check_name

# After which what failed for reasons that may pass is tried again.
RETRY_SECONDS = 60.0
# Of the disk, beside the files of a snapshot: what opening it makes.
SPACE_BESIDE = 16 << 20
log = logging.getLogger(__name__)


class Follower:
    """Copies what is newer than the copies that there are, if it is whole, sound and searchable.

    Args:
        store: where snapshots are published.
        copies: where they are copied to.
        trusted: the models whose Python code may run.
        refused: by index and name, what is not to be copied.
    """

    def __init__(
        self,
        store: SnapshotStore,
        copies: Copies,
        trusted: TrustedCode,
        refused: Container[tuple[str, str]] = (),
    ) -> None:
        self._store, self._copies = store, copies
        self._trusted, self._refused = trusted, refused
        self._told: set[str] = set()
        self._older: dict[str, set[str]] = {}
        self._following = Following.read(copies.folder)

    def follow(self, seconds: float) -> None:
        """Look every so many seconds; returns once something newer was copied."""
        while not self.look():
            time.sleep(seconds)

    def look(self) -> bool:
        """Look at all collections once; returns whether something newer was copied."""
        following, copied = self._following, False
        try:
            for index in self._store.collections():
                copied |= self._look_at(index)
            following.looked, following.unreachable = time.time(), ""
        except UnavailableError as error:
            # Once for each time that it goes away.
            if not following.unreachable:
                log.error("%s; the copies go on answering", error)
                following.count_failure()
            following.unreachable = str(error)
        try:
            following.write(self._copies.folder)
        except OSError as error:
            self._say(f"how following goes on can't be written ({error.strerror})")
        return copied

    def _look_at(self, index: str) -> bool:
        try:
            check_name(index)
        except UsageError as error:
            self._say(f"snapshots are passed over: {error}")
            return False
        answering = self._copies.newest().get(index)
        candidates = self._newer(index, answering)
        for name in [key for key in self._following.passed_over if key.startswith(f"{index}/")]:
            if name.partition("/")[2] not in candidates:
                del self._following.passed_over[name]
        for snapshot in sorted(candidates.values(), key=lambda each: each.order, reverse=True):
            try:
                with self._store.opened(index, snapshot.name) as taken:
                    if self._is_copied(index, snapshot, taken):
                        return True
            except (NotFoundError, CorruptionError):
                self._say(f"the snapshot {index}/{snapshot.name} went away before it was copied")
        return False

    def _newer(self, index: str, answering: Copy | None) -> dict[str, PublishedSnapshot]:
        """The snapshots of an index that are newer than what answers, by name."""
        found, seen = {}, self._older.get(index)
        older: set[str] = set()
        for name in self._store.names(index):
            if (index, name) in self._refused:
                continue
            try:
                check_name(name, "a snapshot")
                with self._store.opened(index, name) as taken:
                    snapshot = PublishedSnapshot.of(name, taken.manifest)
            except NotFoundError:
                self._say(f"{index}/{name} is passed over: it has no manifest, or not yet")
                continue
            except (CorruptionError, UsageError) as error:
                self._say(f"{index}/{name} is passed over: {_reason(error)}")
                continue
            if answering is None or snapshot.order > answering.snapshot.order:
                found[name] = snapshot
                continue
            older.add(name)
            if seen is not None and name not in seen and name != answering.snapshot.name:
                self._say(
                    f"the snapshot {index}/{name} is passed over: it is older than "
                    f"{answering.snapshot.name}, which answers"
                )
        self._older[index] = older
        return found

    def _is_copied(self, index: str, snapshot: PublishedSnapshot, taken: TakenSnapshot) -> bool:
        """Copy a snapshot, or say why not."""
        name, versions = f"{index}/{snapshot.name}", taken.versions()
        seen = hashlib.blake2b(repr((taken.manifest, sorted(versions.items()))).encode())
        before = self._following.passed_over.get(name)
        now = PassedOver("", seen.hexdigest()[:32])
        is_known = before is not None and before.seen == now.seen
        if before is not None and is_known and not 0 < before.again < time.time():
            return False
        lacking = [
            file
            for file, entry in taken.manifest.files.items()
            if versions.get(file, (-1, ""))[0] != entry.bytes
        ]
        if lacking:
            now.reason, now.waits = f"{lacking[0]} is not all there, or not yet", True
            return self._pass_over(name, now)
        needed, free = taken.manifest.bytes + SPACE_BESIDE, self._copies.free()
        if needed > free:
            now.reason = f"it needs {needed:,} bytes, and the disk of the copies has {free:,}"
            now.again = time.time() + RETRY_SECONDS
            return self._pass_over(name, now)
        try:
            self._copy(index, snapshot, taken)
        except UnavailableError:
            raise
        except CorruptionError as error:
            now.reason = _reason(error)
            return self._pass_over(name, now)
        except LsrError as error:
            now.reason, now.again = _reason(error), time.time() + RETRY_SECONDS
            return self._pass_over(name, now)
        self._following.passed_over.pop(name, None)
        return True

    def _copy(self, index: str, snapshot: PublishedSnapshot, taken: TakenSnapshot) -> None:
        started = time.monotonic()
        with self._copies.making(index, snapshot) as path:
            replicate(taken, path)
            self._check_searched(path)
        log.info(
            "the snapshot %s/%s is copied: %d documents, %d bytes, in %.1f s",
            index,
            snapshot.name,
            taken.manifest.documents,
            taken.manifest.bytes,
            time.monotonic() - started,
        )

    def _check_searched(self, path: Path) -> None:
        """Search a copy once, as a server would; raise LsrError where that fails."""
        served = Indexes([path], self._trusted)
        try:
            served.warm_up()
            for problem in served.problems().values():
                raise LsrError(problem.sentence)
        finally:
            with suppress(LsrError):
                served.close()

    def _pass_over(self, name: str, now: PassedOver) -> bool:
        before = self._following.passed_over.get(name)
        if before is None or before.reason != now.reason:
            log.warning("the snapshot %s is passed over: %s", name, now.reason)
            if not now.waits:
                self._following.count_failure()
        self._following.passed_over[name] = now
        return False

    def _say(self, sentence: str) -> None:
        """Log a sentence, once."""
        if sentence not in self._told:
            self._told.add(sentence)
            log.warning("%s", sentence)


def _reason(error: LsrError) -> str:
    return str(error).partition(";")[0]
