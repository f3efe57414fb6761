"""Which of the things a bench compares are installed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from lsr.distribution import install_line
from lsr.errors import UsageError

# The packages that the extra doesn't bring: they want others older than the rest does.
ALONE = {
    "milvus_lite": "pip install milvus-lite==2.5.1 'pymilvus<2.6' 'setuptools<80'",
    "pyterrier_pisa": "pip install --no-deps pyterrier-pisa 'tbb<=2020.3.254'",
}
ALONE["pymilvus"] = ALONE["pkg_resources"] = ALONE["milvus_lite"]


def why_missing(name: str, packages: Sequence[str]) -> str | None:
    """One sentence that says how to install the package that is not there; None if all are."""
    for package in packages:
        if find_spec(package) is None:
            return (
                f"{name} is left out because the package {package!r} is not installed; "
                f"install it with: {ALONE.get(package) or install_line('bench')}"
            )
    return None


def installed(names: Sequence[str], packages: Mapping[str, Sequence[str]]) -> list[str]:
    """Those whose packages are there; says of each other one how to install it.

    Raises:
        UsageError: a name is none of ``packages``.
    """
    unknown = [name for name in names if name not in packages]
    if unknown:
        raise UsageError(f"there is no engine {unknown[0]!r}; allowed are {', '.join(packages)}")
    missing = {name: why_missing(name, packages[name]) for name in names}
    for sentence in filter(None, missing.values()):
        print(sentence, file=sys.stderr)
    return [name for name, sentence in missing.items() if sentence is None]
