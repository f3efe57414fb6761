"""How a server's log is written: for people, or as JSON; and who asked for what."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.settings import ServerSettings

TEXT = "%(levelname)s: %(message)s"
ACCESS = logging.getLogger("service.access")
"""The log of answered requests, on standard output."""
request_of_record: ContextVar[str | None] = ContextVar("request_of_record", default=None)
"""The id of the request that this code runs for."""


class AccessFormatter(logging.Formatter):
    """Name and value of each member, strings in quotes."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        members: Mapping[str, Any] = vars(record)["members"]
        return " ".join(f"{name}={json.dumps(value)}" for name, value in members.items())


class JsonFormatter(logging.Formatter):
    """An object a line: time, level, logger, message, the id of the request and other members."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        members: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request = request_of_record.get()
        if request is not None:
            members["request_id"] = request
        members |= getattr(record, "members", {})
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=True, default=str)


def set_up(settings: ServerSettings) -> None:
    """Have this process log as the settings of its server say."""
    as_json = settings.log_format == "json"
    formatter = JsonFormatter() if as_json else logging.Formatter(TEXT)
    for handler in logging.root.handlers:
        handler.setFormatter(formatter)
    # What is told at the start is no warning.
    logging.getLogger("service.commands.serve").setLevel(logging.INFO)
    # Nor is which snapshots a replica copies and answers from.
    logging.getLogger("service.replica").setLevel(logging.INFO)
    ACCESS.handlers = []
    ACCESS.propagate = False
    ACCESS.disabled = not settings.access_log
    if settings.access_log:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(formatter if as_json else AccessFormatter())
        ACCESS.addHandler(handler)
        ACCESS.setLevel(logging.INFO)


def log_access(members: Mapping[str, Any]) -> None:
    """Log an answered request; ``members`` are what is known of it, by name."""
    if ACCESS.disabled:
        return
    shown = {name: value for name, value in members.items() if value is not None}
    ACCESS.info("answered", extra={"members": shown})
