"""How far something got that is in the making, for the run that goes on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsr.errors import CorruptionError, UsageError

JOURNAL = "journal.json"
Settings = Mapping[str, str | float | bool | None]


class Journal:
    """The journal of a folder with working files.

    ``items`` of the source are done with, and ``digest`` is of them; ``sizes`` has the bytes of
    each working file that belong to these.

    Args:
        folder: where the working files are.
        target: what is being made, for messages.
        settings: what it depends on; a run with others may not go on.

    Raises:
        UsageError: it was begun with other settings.
        CorruptionError: the journal can't be read.
    """

    def __init__(self, folder: Path, target: Path, settings: Settings) -> None:
        self._folder = folder
        self._target = target
        self._settings = dict(settings)
        journal = self._read()
        self.items = int(journal["items"])
        self.digest = str(journal["digest"])
        self.sizes: Mapping[str, int] = journal["sizes"]

    def write(self, items: int, digest: str, sizes: Mapping[str, int]) -> None:
        """Note what is on disk by now; on disk itself when it returns."""
        self.items, self.digest, self.sizes = items, digest, sizes
        new = self._folder / f"{JOURNAL}.new"
        journal = {
            "settings": self._settings,
            "items": items,
            "digest": digest,
            "sizes": dict(sizes),
        }
        with new.open("w") as file:
            json.dump(journal, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / JOURNAL)

    def _read(self) -> dict[str, Any]:
        path = self._folder / JOURNAL
        try:
            journal = json.loads(path.read_bytes())
            settings = journal["settings"]
            whole = {"items", "digest", "sizes"} <= journal.keys()
        except FileNotFoundError:
            return {"items": 0, "digest": "", "sizes": {}}
        except (ValueError, TypeError, KeyError, AttributeError):
            whole = False
        if not whole:
            raise CorruptionError(f"{path} can't be read; delete {self._folder} and start again")
        if settings != self._settings:
            changed = [
                name for name in self._settings if settings.get(name) != self._settings[name]
            ]
            raise UsageError(
                f"{self._target} was begun with other settings ({', '.join(changed)}); finish it "
                f"with the same command, or delete {self._folder}"
            )
        return dict(journal)
