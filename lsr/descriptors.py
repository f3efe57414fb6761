"""How many files and sockets this process may hold open."""

from __future__ import annotations

import sys

# Where the system doesn't tell: what Windows' C library allows.
UNKNOWN = 512


def descriptor_limit() -> int:
    """The number of descriptors that may be open at once."""
    if sys.platform == "win32":
        return UNKNOWN
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit() -> int:
    """Raise the limit as far as the system lets this process; the limit from now on."""
    if sys.platform != "win32":
        import resource
        from contextlib import suppress

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        # macOS refuses what its kernel doesn't support, whatever the hard limit says.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return descriptor_limit()
