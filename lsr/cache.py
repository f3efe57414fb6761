"""Where files are kept that can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder ``LSR_CACHE``, or else ``lsr`` in the user's cache folder."""
    return Path(os.environ.get("LSR_CACHE") or Path.home() / ".cache" / "lsr")
