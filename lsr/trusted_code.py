"""Whose Python code may run: the consent that an invocation gives, and nothing else.

A model's folder may bring Python code of its own. Names of encoders stand in collections,
snapshots and configurations, which may come from anyone, so no name says that code may run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from lsr.corpus.files import user_path
from lsr.errors import UsageError
from lsr.settings import SWITCH

VARIABLE = "LSR_TRUST_REMOTE_CODE"
# How earlier releases kept the consent in an encoder's name.
OPTION = "trust_remote_code"


@dataclass(frozen=True, slots=True)
class TrustedCode:
    """The models whose Python code may run: all, or those of these names.

    A name is that of ``Checkpoint``: a hub id, or the absolute path of a folder without links.
    """

    all: bool = False
    names: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of_invocation(cls, all_models: bool = False) -> TrustedCode:
        """What a switch says and what the environment lists: LSR_TRUST_REMOTE_CODE=NAME,NAME.

        Raises:
            UsageError: the environment lists something other than hub ids and absolute paths.
        """
        given = [name.strip() for name in os.environ.get(VARIABLE, "").split(",")]
        return cls(all_models, frozenset(_exact(name) for name in given if name))

    def allows(self, model: str) -> bool:
        """Whether the code of the model of that name may run."""
        return self.all or model in self.names


NO_CODE = TrustedCode()


def _exact(name: str) -> str:
    path = user_path(name)
    if path.is_absolute():
        return str(path.resolve())
    if name.lower() in SWITCH or name == "*" or name.startswith((".", "~")):
        raise UsageError(
            f"the environment's {VARIABLE} lists {name!r}; allowed are hub ids and absolute paths "
            "of model folders, with commas between (--trust-remote-code trusts every model)"
        )
    return name


def is_consent(option: str) -> bool:
    """Whether an option of an encoder's name is the consent of earlier releases, of any side."""
    return option.rpartition(".")[2] == OPTION


def without_consent(name: str) -> str:
    """A stored name of an encoder, without the consent that earlier releases kept in it."""
    head, *options = name.split(",")
    return ",".join([head, *(each for each in options if not is_consent(each.partition("=")[0]))])
