"""This package as pip knows it: its name, its version, and the line that installs an extra.

The distribution is called ``lsr-search``, since ``lsr`` is another project's on PyPI.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

NAME = "lsr-search"


def package_version() -> str:
    """The version of this package."""
    return version(NAME)


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """The version of each package that is installed; ``lsr`` is this one."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(NAME if package == "lsr" else package)
    return found


def install_line(extra: str) -> str:
    """How to install an extra, from an index and from a checkout."""
    return f"pip install '{NAME}[{extra}]', or in a checkout: pip install '.[{extra}]'"
