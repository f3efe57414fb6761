"""How indexes come, change their names, and go: each in one instant, for all processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from index.collection.collection import LONGEST_WAIT, Collection
from index.collection.field import encoder_fields
from index.collection.passage_table import AUTO
from index.collection.writer_lock import at_rest
from lsr.errors import ConflictError, LsrError, NotFoundError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.indexes import Indexes
from service.state.aliases import Aliases
from service.state.database import StateDatabase
from service.state.places import Places, check_name
from service.state.tasks import Tasks

MOST_ALIASES = 10_000


class Lifecycle:
    """Changes of which indexes and aliases there are.

    A change of names is made inside a transaction of the state, so that those of all processes
    come one after the other. The state is committed after the folder has its name: where the
    server dies between the two, the folder counts.
    """

    def __init__(
        self,
        indexes: Indexes,
        state: StateDatabase,
        aliases: Aliases,
        tasks: Tasks,
        trusted: TrustedCode = NO_CODE,
    ) -> None:
        self.indexes = indexes
        self.aliases = aliases
        self._state = state
        self._tasks = tasks
        self._trusted = trusted

    @property
    def places(self) -> Places:
        """Of the folder where new indexes go.

        Raises:
            ConflictError: the server has none.
        """
        if self.indexes.folder is None:
            raise ConflictError(
                "this server serves single collections, and has no folder for new ones; start it "
                "with a folder, as in: lsr serve FOLDER"
            )
        return Places(self.indexes.folder)

    def create(
        self,
        name: str,
        encoder: str | None = None,
        dense: str | None = None,
        bm25: bool = False,
        language: str | None = None,
        passages: str = AUTO,
    ) -> None:
        """A new, empty index, which appears whole or not at all; as ``open_or_create``.

        Raises:
            ConflictError: the name is taken, or the server has no folder for new indexes.
            NotFoundError: there is no such encoder.
            UsageError: it can't be a name, or a setting is not allowed.
            LsrError: it can't be written.
        """
        check_name(name)
        places = self.places
        with self._state.writing() as connection:
            self._check_free(connection, name)
        fields = encoder_fields(encoder, dense, bm25, self._trusted, language)
        with places.creating() as made:
            Collection.create(made, fields, trusted=self._trusted, passages=passages).close()
            self.put(made, name)

    def put(
        self,
        made: Path,
        name: str,
        replace: bool = False,
        is_wanted: Callable[[sqlite3.Connection], bool] = lambda connection: True,
    ) -> bool:
        """Give a collection the name of an index, new or, if asked, in place of another.

        Whoever replaces one has it at rest. ``is_wanted`` is asked last, in the transaction.

        Returns:
            Whether it was wanted.

        Raises:
            ConflictError: the name is taken.
            UsageError: the file system can't exchange two folders.
        """
        there = self.indexes.has(name)
        places = Places(self.indexes.folder_of(name)) if there and replace else self.places
        with self._state.writing() as connection:
            if not is_wanted(connection):
                return False
            if there and replace:
                places.replace(made, name)
                return True
            self._check_free(connection, name)
            try:
                places.appear(made, name)
            except OSError as error:
                raise ConflictError(
                    f"the name {name!r} is taken in the server's folder ({error.strerror}); give "
                    "another"
                ) from error
        return True

    def delete(self, name: str) -> None:
        """Have an index disappear, with its aliases; its tasks are canceled.

        Raises:
            ConflictError: the name is an alias, or the server may not delete the index.
            LockedError: somebody writes to it and doesn't let go.
            NotFoundError: there is none.
        """
        places = Places(self.indexes.folder_of(name))
        # Else a build of this process would be waited for.
        self.indexes.release(name)
        try:
            with at_rest(places.folder / name, LONGEST_WAIT), self._state.writing() as connection:
                self.aliases.remove_of(connection, name)
                self._tasks.cancel_of(connection, name)
                places.delete(name)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no index {name!r}") from error
        except OSError as error:
            raise LsrError(f"the index {name!r} can't be deleted: {error}") from error
        finally:
            self.indexes.release(name)

    def change_aliases(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Point aliases to indexes, or remove those of None: all at once, or none.

        Returns:
            All aliases.

        Raises:
            ConflictError: an index has the name of an alias, or there are too many.
            NotFoundError: there is no such index, or no alias that is to be removed.
            UsageError: a name can't be one.
        """
        with self._state.writing() as connection:
            known = dict(connection.execute("SELECT name, target FROM aliases"))
            for name, target in changes.items():
                if target is None:
                    if name not in known:
                        raise NotFoundError(f"there is no alias {name[:100]!r}")
                    continue
                check_name(name, "an alias")
                if self.indexes.has(name):
                    raise ConflictError(
                        f"{name!r} is the name of an index, so it can be no alias; give another"
                    )
                if not self.indexes.has(target):
                    raise NotFoundError(f"there is no index {target[:100]!r}")
            found = self.aliases.change(connection, changes)
            if len(found) > MOST_ALIASES:
                raise UsageError(f"there would be more than {MOST_ALIASES} aliases; remove some")
        return found

    def _check_free(self, connection: sqlite3.Connection, name: str) -> None:
        if self.indexes.has(name):
            raise ConflictError(f"there is an index {name!r} already; give another name")
        if connection.execute("SELECT 1 FROM aliases WHERE name = ?", (name,)).fetchall():
            raise ConflictError(
                f"{name!r} is an alias, so it can be no index; give another name, or remove the "
                "alias"
            )
