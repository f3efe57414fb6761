"""Which Ray cluster encodes."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from lsr.errors import UnavailableError, UsageError

SCHEME = "ray://"
LOCAL, AUTO = "local", "auto"
LONGEST_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class RayAddress:
    """``local``: a cluster of this machine alone, for this run; ``auto``: the one that this machine
    is part of; or host and port of the head of one that this machine is part of.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> RayAddress:
        """The address ``ray://local``, ``ray://auto`` or ``ray://HOST:PORT``.

        Raises:
            UsageError: it is none of these.
        """
        rest = text.removeprefix(SCHEME).removesuffix("/")
        known = rest in (LOCAL, AUTO) or re.fullmatch(
            r"[\w.-]+:[0-9]{1,5}|\[[\w:.]+\]:[0-9]{1,5}", rest
        )
        if not text.startswith(SCHEME) or not known:
            raise UsageError(
                f"--on is {text!r}; allowed are ray://local (a cluster of this machine, for this "
                "run), ray://auto (the one that this machine is part of) and ray://HOST:PORT (its "
                "head, as ray start --head prints it)"
            )
        return cls(rest)

    @property
    def local(self) -> bool:
        """Whether it is a cluster for one run, on this machine."""
        return self.text == LOCAL

    def check(self) -> None:
        """Raise UnavailableError where nothing listens at host and port."""
        if self.text in (LOCAL, AUTO):
            return
        host, _, port = self.text.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), LONGEST_CONNECT_S):
                return
        except (OSError, OverflowError) as error:
            raise self.unavailable(str(getattr(error, "strerror", None) or error)) from None

    def unavailable(self, reason: str) -> UnavailableError:
        """Of a cluster that can't be used."""
        return UnavailableError(
            f"no Ray cluster can be used at {SCHEME}{self.text} ({reason}); run lsr on a machine "
            "of the cluster and give what ray start --head printed (port 6379 as a rule, and not "
            "the 10001 of Ray's own clients), or give ray://local"
        )
