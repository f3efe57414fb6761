"""The processes of a replica: one that copies snapshots, and workers for each state in turn.

A state is searched by workers of its own, forks of a process that has read its segments. Once all
workers of the next state are ready, they take the connections that come, and those of the state
before answer what they still have, and end. So a state is read into memory once, however many
workers search it, and is given back whole.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass

from index.collection.collection import Collection
from index.snapshots.address import snapshot_store
from lsr.errors import CorruptionError, LsrError
from lsr.trusted_code import TrustedCode
from service.api.workers import LOOK_SECONDS, RETIRE, UNABLE, Workers
from service.replica.copies import Copies, Copy, State
from service.replica.follower import Follower
from service.settings import ServerSettings

# Searches go before.
NICENESS = 10
# The status of a leader whose copies are damaged, which it has deleted.
DAMAGED = 4
# Processes that may end unasked, one soon after the other, and how soon.
MOST_QUICK, QUICK_SECONDS = 5, 5.0
PAUSE_SECONDS = 1.0
# For which the workers of a state may take to be ready, its segments read and its models loaded.
READY_SECONDS = 1800.0
SIDES = "ab"
Serve = Callable[[State, str, int, Callable[[], None]], None]
"""Serves a state as the worker of a name, until a signal ends it; takes the state, the name, the
process that looks after it, and what to call once it is ready.
"""
log = logging.getLogger(__name__)


@dataclass
class _Generation:
    """Workers of one state: the process that leads them, and which of them are ready."""

    state: State
    process: int
    pipe: int
    side: str
    began: float
    ready: int = 0

    def count_ready(self) -> int:
        """How many workers have said by now that they are ready."""
        with suppress(BlockingIOError):
            self.ready += len(os.read(self.pipe, 1024))
        return self.ready


class Generations:
    """Looks after the processes of a replica, and does nothing else itself: it has no threads.

    At most two states are in memory, and two copies of each index on disk: the next is begun, and
    the next snapshot looked for, when the one before the last is gone.

    Args:
        settings: of the server.
        trusted: the models whose Python code may run.
        copies: those on this disk.
        serve: what a worker does.
        forget: called with the name of each worker that has ended.
    """

    def __init__(
        self,
        settings: ServerSettings,
        trusted: TrustedCode,
        copies: Copies,
        serve: Serve,
        forget: Callable[[str], None],
    ) -> None:
        self._settings, self._trusted, self._copies = settings, trusted, copies
        self._serve, self._forget = serve, forget
        self._refused: set[tuple[str, str]] = set()
        self._current: _Generation | None = None
        self._next: _Generation | None = None
        self._retiring: _Generation | None = None
        self._copier: int | None = None
        self._copier_after = 0.0
        self._quick, self._ended_at = 0, -float("inf")
        self._mask: set[int | signal.Signals] = set()

    def run(self) -> None:
        """Serve, and follow, until SIGTERM or SIGINT; then end by that signal too.

        Raises:
            LsrError: the workers can't serve, or end again and again.
        """
        watched = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
        on_child = signal.signal(signal.SIGCHLD, lambda *_: None)
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, watched))
        stopped_by: signal.Signals | None = None
        try:
            self._copies.keep(self._copies.newest())
            while stopped_by is None:
                self._go_on()
                got = signal.sigtimedwait(watched, LOOK_SECONDS)
                if got is not None and got.si_signo != signal.SIGCHLD:
                    stopped_by = signal.Signals(got.si_signo)
        finally:
            self._end(stopped_by or signal.SIGTERM)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            signal.signal(signal.SIGCHLD, on_child)
        signal.raise_signal(stopped_by)

    def _go_on(self) -> None:
        """One look at all processes, and what follows of it."""
        self._see_copier()
        self._see_generations()
        if self._next is not None and self._next.count_ready() >= self._settings.workers:
            self._swap(self._next)
        # While nothing is there to answer from, the first snapshots are copied meanwhile.
        nothing = self._next is not None and not self._next.state
        if self._retiring is not None or (self._next is not None and not nothing):
            return
        newest = self._copies.newest(self._refused)
        if self._next is None:
            if self._current is None or _names(newest) != _names(self._current.state):
                self._next = self._begin(newest)
                return
            # Never what is being copied.
            if self._copier is None:
                self._copies.keep(newest)
        is_due = time.monotonic() >= self._copier_after and not (nothing and newest)
        if self._copier is None and is_due:
            self._copier = self._fork(self._copy)

    def _swap(self, generation: _Generation) -> None:
        os.close(generation.pipe)
        self._retiring, self._current, self._next = self._current, generation, None
        if self._retiring is not None:
            _send(self._retiring.process, RETIRE)
        if generation.state:
            shown = ", ".join(f"{index}/{name}" for index, name in _names(generation.state).items())
            log.info("searches are answered from: %s", shown)

    def _see_copier(self) -> None:
        status = None if self._copier is None else _status(self._copier)
        if status is not None:
            self._copier = None
            if status != 0:
                log.error("the process that copies snapshots ended; another takes its place")
                self._copier_after = time.monotonic() + PAUSE_SECONDS

    def _see_generations(self) -> None:
        if self._retiring is not None and _status(self._retiring.process) is not None:
            self._retiring = None
        if self._next is not None:
            if time.monotonic() - self._next.began > READY_SECONDS:
                _send(self._next.process, signal.SIGKILL)
            if (status := _status(self._next.process)) is not None:
                self._failed(self._next, status)
        if self._current is not None and (status := _status(self._current.process)) is not None:
            log.error("the workers of the replica ended (%d); others take their place", status)
            self._count_end()
            self._current = None

    def _failed(self, generation: _Generation, status: int) -> None:
        """What was to be the next state can't be served."""
        os.close(generation.pipe)
        self._next = None
        current = {} if self._current is None else self._current.state
        new = [copy for copy in generation.state.values() if current.get(copy.index) != copy]
        if self._current is None or not new:
            self._count_end()
            if status == UNABLE:
                raise LsrError("the workers of the replica can't serve; see what they said above")
            return
        for copy in new:
            if status != DAMAGED:
                self._refused.add((copy.index, copy.snapshot.name))
            log.error(
                "the snapshot %s/%s is passed over: its workers ended (%d) before they answered",
                copy.index,
                copy.snapshot.name,
                status,
            )

    def _count_end(self) -> None:
        now = time.monotonic()
        self._quick = self._quick + 1 if now - self._ended_at < QUICK_SECONDS else 0
        self._ended_at = now
        if self._quick > MOST_QUICK:
            raise LsrError("the workers of the replica end again and again; see its log")
        time.sleep(PAUSE_SECONDS if self._quick else 0)

    def _begin(self, state: State) -> _Generation:
        before = self._current
        side = SIDES[0] if before is None else SIDES[1 - SIDES.index(before.side)]
        reading, writing = os.pipe()
        os.set_blocking(reading, False)

        def lead() -> int:
            os.close(reading)
            return self._lead(state, side, writing)

        process = self._fork(lead)
        os.close(writing)
        return _Generation(state, process, reading, side, time.monotonic())

    def _lead(self, state: State, side: str, pipe: int) -> int:
        """In a process of its own: read a state, and look after its workers."""
        damaged = [copy for copy in state.values() if not is_preloaded(copy)]
        for copy in damaged:
            self._copies.delete(copy)
        if damaged:
            return DAMAGED
        leader = os.getpid()

        def work(place: int) -> None:
            self._serve(state, f"{side}{place}", leader, lambda: _tell(pipe))

        def forget(place: int) -> None:
            self._forget(f"{side}{place}")

        Workers(self._settings.workers, work, forget, os.getppid()).run()
        return 0

    def _copy(self) -> int:
        """In a process of its own: look for snapshots until one is copied."""
        threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
        with suppress(OSError):
            os.nice(NICENESS)
        store = snapshot_store(str(self._settings.follow))
        follower = Follower(store, self._copies, self._trusted, self._refused)
        follower.follow(self._settings.follow_seconds)
        return 0

    def _fork(self, work: Callable[[], int]) -> int:
        """Begin a process that does something and ends with what it returns."""
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process:
            return process
        status = 1
        try:
            # The terminal's Ctrl-C is for the process that looks after this one.
            os.setpgid(0, 0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            status = work()
        except LsrError as error:
            log.error("%s", error)
            status = UNABLE
        except BaseException:
            log.exception("the process %d failed", os.getpid())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _end(self, sig: signal.Signals) -> None:
        """Stop all processes, and wait for them."""
        if self._copier is not None:
            _send(self._copier, signal.SIGKILL)
        generations = [each for each in (self._current, self._next, self._retiring) if each]
        for each in generations:
            _send(each.process, sig)
        for process in [each.process for each in generations] + [self._copier or 0]:
            if process:
                with suppress(ChildProcessError):
                    os.waitpid(process, 0)


def _names(state: State) -> Mapping[str, str]:
    return {index: copy.snapshot.name for index, copy in state.items()}


def is_preloaded(copy: Copy) -> bool:
    """Have the segments of a copy in memory for forks; False where it is damaged."""
    try:
        with closing(Collection.open(copy.path)) as collection:
            collection.preload()
    except CorruptionError as error:
        log.error("a copy is damaged, and made again: %s", error)
        return False
    # What else is wrong with it is told by those that serve it.
    except (LsrError, OSError):
        pass
    return True


def _end_with(parent: int) -> None:
    """End this process, whatever it is at, when the one that began it is gone."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os._exit(1)


def _tell(pipe: int) -> None:
    # Where nobody listens any more, the worker was ready before.
    with suppress(OSError):
        os.write(pipe, b".")


def _send(process: int, sig: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, sig)


def _status(process: int) -> int | None:
    """How a process of ours has ended; None: it hasn't."""
    ended, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None
