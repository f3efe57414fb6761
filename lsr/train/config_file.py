"""Configurations as TOML files: read, checked with every mistake named, and written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from lsr.corpus.text_encoding import decode_text
from lsr.errors import InputError, MissingDependencyError, NotFoundError, UsageError

ConfigT = TypeVar("ConfigT")
LARGEST_CONFIG = 1 << 20
STRICT = ConfigDict(extra="forbid", strict=True)
ALLOWED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list of tables",
    "list_type": "a list",
    "dataclass_type": "a table",
}


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        NotFoundError: there is no such file.
        InputError: it is larger than 1 MiB or no TOML.
    """
    if not path.is_file():
        raise NotFoundError(f"the configuration {str(path)!r} does not exist; give a TOML file")
    if path.stat().st_size > LARGEST_CONFIG:
        raise InputError(f"{path} is larger than 1 MiB; no such configuration is read")
    try:
        return tomllib.loads(decode_text(path.read_bytes(), old=False).text)
    except (tomllib.TOMLDecodeError, InputError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    except RecursionError:
        raise InputError(f"{path} is nested too deeply; no such configuration is read") from None
    except ValueError:  # What else Python refuses of a number or a date.
        raise InputError(f"{path} holds a number that is too long; give a shorter one") from None


def parse_config(table: Mapping[str, Any], config: type[ConfigT], place: str = "") -> ConfigT:
    """A settings dataclass from TOML's tables; what is not given keeps its default.

    ``place`` says in messages which table it is.

    Raises:
        UsageError: an unknown or missing key, or a value of the wrong type or range.
    """
    for name, kind in get_type_hints(config).items():
        value = table.get(name)
        # A table that may be left out is ``Config | None``.
        parts = [part for part in get_args(kind) or [kind] if is_dataclass(part)]
        if parts and isinstance(value, Mapping):
            inside = f"{place[1:-2]}." if place else ""
            parse_config(value, cast("type[Any]", parts[0]), f"[{inside}{name}] ")
        elif isinstance(value, list) and get_args(kind):
            for number, one in enumerate(value, start=1):
                if isinstance(one, Mapping):
                    parse_config(one, get_args(kind)[0], f"[[{name}]] number {number}: ")
    try:
        return TypeAdapter(config).validate_json(json.dumps(table, default=str))
    except UsageError as error:
        raise UsageError(f"{place}{error}") from None
    except ValidationError as error:
        # A name that is not known explains why another is missing.
        first = min(error.errors(), key=lambda fault: fault["type"] == "missing")
        reason = _reason(first["type"], ".".join(map(str, first["loc"])), first["input"], config)
        raise UsageError(f"{place or 'the configuration: '}{reason}") from None


def _reason(kind: str, key: str, value: Any, config: type[Any]) -> str:
    """What is wrong with a key, where pydantic has found a fault of that kind."""
    if kind == "unexpected_keyword_argument":
        known = ", ".join(each.name for each in fields(config))
        return f"there is no {key!r}; allowed are {known}"
    if kind == "missing":
        return f"{key!r} is missing; give it"
    return f"{key} is {value!r}; allowed is {ALLOWED[kind]}"


def to_toml(config: Any) -> str:
    """The whole configuration, defaults included, as TOML.

    Raises:
        MissingDependencyError: tomli-w is not installed.
    """
    try:
        import tomli_w
    except ImportError as error:
        raise MissingDependencyError("training", "tomli-w", "train") from error
    return tomli_w.dumps(tables(config))


def tables(config: Any) -> dict[str, Any]:
    """The configuration as TOML's tables; there is no table for what is None."""
    return asdict(config, dict_factory=lambda items: {k: v for k, v in items if v is not None})
