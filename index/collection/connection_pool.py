"""The SQLite connections of all collections of this process, a bounded number of them."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from lsr.descriptors import descriptor_limit

# Connections that are kept though no thread uses them, at two descriptors each; never more than
# an eighth of the descriptors that the process may have open.
MOST_KEPT = 64


class ConnectionPool:
    """Connections that wait for a thread to use them; the least recently used are closed.

    A connection is with one thread at a time, and comes back between two transactions.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[sqlite3.Connection, object] = OrderedDict()
        self._later: deque[Callable[[], None]] = deque()

    def later(self, action: Callable[[], None]) -> None:
        """Do something with the next call: the garbage collector, which may run in the midst of
        one, must not wait for the lock."""
        self._later.append(action)

    def take(self, owner: object, connect: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        """A connection of that owner: the one used last, or a new one."""
        self._do_what_was_left()
        with self._lock:
            for connection, its_owner in reversed(self._idle.items()):
                if its_owner is owner:
                    del self._idle[connection]
                    return connection
        return connect()

    def give_back(self, owner: object, connection: sqlite3.Connection) -> None:
        """Keep it for the next; one whose transaction could not be ended is closed."""
        if connection.in_transaction:
            connection.close()
            return
        with self._lock:
            self._idle[connection] = owner
            kept = min(MOST_KEPT, descriptor_limit() // 16)
            surplus = [self._idle.popitem(last=False)[0] for _ in range(len(self._idle) - kept)]
        for old in surplus:
            old.close()

    def close(self, owner: object) -> None:
        """Close those of an owner that no thread uses."""
        self._do_what_was_left()
        with self._lock:
            closed = [connection for connection, its in self._idle.items() if its is owner]
            for connection in closed:
                del self._idle[connection]
        for connection in closed:
            connection.close()

    def _do_what_was_left(self) -> None:
        while self._later:
            with suppress(IndexError):
                self._later.popleft()()


POOL = ConnectionPool()


class ThreadConnections:
    """The connection that each thread has of one store, while it uses it.

    A thread has one at a time, but for stores that it has a transaction with: the one before goes
    back to the pool when it turns to another store. It goes back with the end of the thread too.

    Args:
        connect: opens one, for use in any thread.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._local = threading.local()
        self._owner = object()
        weakref.finalize(self, POOL.later, partial(POOL.close, self._owner))

    def of_this_thread(self) -> sqlite3.Connection:
        """The connection this thread has already, or one of the pool."""
        loan: _Loan | None = getattr(self._local, "loan", None)
        if loan is None or loan.connection is None:
            last: _Loan | None = getattr(_of_thread, "last", lambda: None)()
            if last is not None and not last.in_transaction:
                last.end()
            loan = _Loan(self._owner, POOL.take(self._owner, self._connect))
            self._local.loan, _of_thread.last = loan, weakref.ref(loan)
        assert loan.connection is not None
        return loan.connection

    def release(self) -> None:
        """Give back the connection of this thread, if it has one."""
        loan: _Loan | None = getattr(self._local, "loan", None)
        if loan is not None:
            loan.end()

    def close(self) -> None:
        """Close that of this thread and those that no thread uses."""
        self.release()
        POOL.close(self._owner)


class _Loan:
    """A connection that a thread has; ended with the thread at the latest."""

    def __init__(self, owner: object, connection: sqlite3.Connection) -> None:
        self._owner = owner
        self.connection: sqlite3.Connection | None = connection

    @property
    def in_transaction(self) -> bool:
        return self.connection is not None and self.connection.in_transaction

    def end(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            POOL.give_back(self._owner, connection)

    def __del__(self) -> None:
        if self.connection is not None:
            POOL.later(partial(POOL.give_back, self._owner, self.connection))


_of_thread = threading.local()
