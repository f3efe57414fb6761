"""The machine and the versions that a measurement was made with."""

from __future__ import annotations

import platform
import resource
import subprocess
from pathlib import Path

from eval.machine import describe_machine as describe_machine
from lsr.distribution import installed_versions


def describe_versions(packages: list[str]) -> dict[str, str]:
    """Version of Python, of this project (its commit) and of each package that is installed."""
    about = {"python": platform.python_version(), "commit": _commit()}
    return about | installed_versions(packages)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError:  # git is not installed
        return "unknown"
    return done.stdout.strip() or "unknown"


def peak_memory_mb() -> float:
    """Most memory this process has held. Its ru_maxrss would start at that of its parent."""
    return _memory_mb("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak_with_children_mb() -> float:
    """As ``peak_memory_mb``, with the peaks of the processes that this one started and that run."""
    return peak_memory_mb() + sum(_memory_mb("VmHWM", str(child)) or 0 for child in children())


def children() -> list[int]:
    """The processes that this one started and that run; none where the system doesn't tell."""
    listed = Path("/proc/self/task").glob("*/children")
    return [int(number) for path in listed for number in path.read_text().split()]


def resident_memory_mb() -> float:
    """Memory this process holds; its peak where the system doesn't tell."""
    return _memory_mb("VmRSS") or peak_memory_mb()


def private_memory_mb() -> float:
    """What of that is of this process alone, and no page of a file; all where it isn't told."""
    return _memory_mb("RssAnon") or resident_memory_mb()


def _memory_mb(name: str, process: str = "self") -> float | None:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    return int(status.split(f"{name}:")[1].split()[0]) / 1024
