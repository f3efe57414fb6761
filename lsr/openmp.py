"""How the OpenMP threads of torch and FAISS wait for each other."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Let idle OpenMP threads sleep; call before torch or faiss is first imported.

    torch and FAISS bring an OpenMP runtime each, whose threads spin when idle and so take the
    cores from one another and from other processes: with two busy processes beside it on two
    cores, a hybrid query took 1,607 ms with spinning and 23 ms without. ``OMP_WAIT_POLICY`` in the
    environment has precedence.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
