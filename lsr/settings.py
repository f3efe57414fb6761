"""Settings of all kinds: validated, spelt, and filled from ``key=value`` strings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lsr.errors import UsageError

ConfigT = TypeVar("ConfigT")
# Floats hold every whole number up to here.
LARGEST_NUMBER = 1 << 53
SWITCH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def check_choice(option: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise UsageError unless an option has one of the allowed values."""
    if value not in allowed:
        several = f"are {', '.join(allowed[:-1])} and" if len(allowed) > 1 else "is"
        raise UsageError(f"{option} is {value!r}; allowed {several} {allowed[-1]}")


def changed(config: object, *without: str) -> dict[str, Any]:
    """The settings of a dataclass that differ from its defaults, but for those named."""
    return {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)  # type: ignore[arg-type]
        if field.name not in without and getattr(config, field.name) != field.default
    }


def check_length(max_length: int, option: str = "max_length") -> None:
    """Raise UsageError unless 3 <= max_length <= 1,000,000."""
    if not 3 <= max_length <= 1_000_000:
        raise UsageError(f"{option} is {max_length}; allowed is 3 to 1000000")


MOST_LOGS = 4


def check_logs(logs: int) -> None:
    """Raise UsageError unless logs is 0 to ``MOST_LOGS``."""
    if not 0 <= logs <= MOST_LOGS:
        raise UsageError(
            f"logs is {logs}; allowed are 1 to {MOST_LOGS}, and 0 for what the checkpoint says"
        )


def check_range(option: str, value: float, least: float, most: float = LARGEST_NUMBER) -> None:
    """Raise UsageError unless least <= value <= most."""
    if not least <= value <= most:
        open_ended = most == LARGEST_NUMBER and not value > most
        allowed = f"{least} or more" if open_ended else f"{least} to {most}"
        raise UsageError(f"{option} is {value}; allowed is {allowed}")


def configure(
    config: type[ConfigT],
    options: Mapping[str, str],
    default: ConfigT | None = None,
    of: str = "encoder",
) -> ConfigT:
    """Fill a settings dataclass from ``key=value`` strings; ``default`` gives the rest.

    ``of`` says in errors what the settings are of.

    Raises:
        UsageError: an unknown key, or a value that its field can't hold.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, text in options.items():
        if key not in fields:
            raise UsageError(
                f"{key!r} is not an option of this {of}; allowed are {', '.join(fields)}"
            )
        values[key] = _value(f"the {of} option {key}", text, type(fields[key].default))
    base = config() if default is None else default
    return dataclasses.replace(base, **values)  # type: ignore[type-var]


def _value(option: str, text: str, kind: Callable[[str], Any]) -> Any:
    if kind is bool:
        if text not in SWITCH:
            raise UsageError(f"{option}={text} is not allowed; give yes or no")
        return SWITCH[text]
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{option}={text} is not a valid number") from None


def spell(value: object) -> str:
    """A setting as it stands in an encoder's name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return f'"{text}"' if not text or text != text.strip() else text


def unquoted(text: str) -> str:
    """A setting without the double quotes around it, where it has them."""
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text
