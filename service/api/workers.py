"""The processes of a server with several workers: begun, watched, replaced, stopped together."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from lsr.errors import LsrError

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that names a folder in which workers count together; it is set before
prometheus_client is first imported.
"""
RETIRE = signal.SIGUSR1
"""Asks workers to take no new connections, answer what comes on those they have, and end."""
# A worker that ends within so many seconds of its beginning may be replaced so often in a row.
QUICK_SECONDS, MOST_QUICK = 5.0, 5
# The status of a worker that can't serve, which another one couldn't either.
UNABLE = 3
PAUSE_SECONDS = 0.5
# Between two looks whether the process is still there for which workers are looked after.
LOOK_SECONDS = 0.1
log = logging.getLogger(__name__)


class _Begun(NamedTuple):
    """A worker at work, with its place among the others, and when it began."""

    place: int
    when: float


class _Ended(NamedTuple):
    """A worker that has ended; ``status`` is below 0 by a signal, ``seconds`` how long it lived."""

    process: int
    place: int
    status: int
    seconds: float


class Workers:
    """Forks of this process, which does nothing itself but look after them.

    What is in memory when they begin, as the segments of collections, they share. No thread may be
    at work then, and no file of SQLite open: neither survives a fork.

    Args:
        count: how many.
        work: what each does until a signal ends it; it takes its place among them, from 0 on,
            which another gets that takes its place.
        forget: called with the place of each that has ended.
        parent: the process that began this one, with which all end; None: whatever becomes of it.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[int], None],
        forget: Callable[[int], None],
        parent: int | None = None,
    ) -> None:
        self._count, self._work, self._forget = count, work, forget
        self._parent = parent
        self._begun: dict[int, _Begun] = {}
        self._quick = 0

    def run(self) -> None:
        """Begin them, and look after them until SIGTERM or SIGINT; then end by that signal too.

        ``RETIRE`` is passed on, and none is replaced from then on; this returns when all are gone.

        Raises:
            LsrError: they can't serve, or end again and again.
        """
        watched = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, RETIRE}
        # Where its action is the default, it may not wait for whoever asks for it.
        on_child = signal.signal(signal.SIGCHLD, lambda *_: None)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        stopped_by: signal.Signals | None = None
        failure: LsrError | None = None
        retiring = False
        try:
            for place in range(self._count):
                self._begin(place, before)
            while self._begun:
                got = self._wait(watched)
                if got == RETIRE:
                    retiring = True
                    self._send(got)
                elif got != signal.SIGCHLD:
                    stopped_by = got
                    self._send(got)
                for ended in self._ended():
                    if stopped_by is None and failure is None and not retiring:
                        failure = self._replace(ended, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            signal.signal(signal.SIGCHLD, on_child)
        if failure is not None:
            raise failure
        if stopped_by is not None:
            signal.raise_signal(stopped_by)

    def _wait(self, watched: set[signal.Signals]) -> signal.Signals:
        """The next signal; SIGTERM where the parent is gone."""
        if self._parent is None:
            return signal.Signals(signal.sigwait(watched))
        while (got := signal.sigtimedwait(watched, LOOK_SECONDS)) is None:
            if os.getppid() != self._parent:
                # Told once.
                self._parent = None
                return signal.SIGTERM
        return signal.Signals(got.si_signo)

    def _begin(self, place: int, mask: set[int | signal.Signals]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process:
            self._begun[process] = _Begun(place, time.monotonic())
            return
        status = 1
        try:
            # The terminal's Ctrl-C is for the process that looks after this one.
            os.setpgid(0, 0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            self._work(place)
            status = 0
        except LsrError as error:
            log.error("%s", error)
            status = UNABLE
        except KeyboardInterrupt:
            status = 128 + signal.SIGINT
        except BaseException:
            log.exception("the worker %d failed", os.getpid())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # What the other process has to tidy up is not this one's.
            os._exit(status)

    def _ended(self) -> list[_Ended]:
        found = []
        for process in list(self._begun):
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                place, when = self._begun.pop(process)
                self._forget(place)
                code, lived = os.waitstatus_to_exitcode(status), time.monotonic() - when
                found.append(_Ended(process, place, code, lived))
        return found

    def _replace(self, ended: _Ended, mask: set[int | signal.Signals]) -> LsrError | None:
        """Begin another in the place of one; where that is no use, why, and stop the others."""
        quick, status = ended.seconds < QUICK_SECONDS, ended.status
        self._quick = self._quick + 1 if quick else 0
        if status == UNABLE or self._quick > MOST_QUICK:
            self._send(signal.SIGTERM)
            return LsrError("the workers of the server can't serve; see what they said above")
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        log.error("the worker %d ended %s; another takes its place", ended.process, how)
        time.sleep(PAUSE_SECONDS if quick else 0)
        self._begin(ended.place, mask)
        return None

    def _send(self, sig: signal.Signals) -> None:
        for process in self._begun:
            os.kill(process, sig)
