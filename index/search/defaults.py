"""What a collection keeps as the defaults of its searches, as `lsr tune` finds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from typing_extensions import TypedDict

from index.collection.field_encoders import FieldEncoders
from index.collection.search_defaults import (
    LONGEST,
    SETTING,
    check_search_defaults,
    search_defaults_text,
)
from index.collection.view import View
from index.collection.writable import Writable
from index.search.config import SearchConfig
from index.search.feedback import Feedback, feedback_text, parse_feedback
from index.search.fusion import Fusion
from index.search.fusion_text import fusion_text, parse_fusion
from index.search.plan import default_using, names_of
from lsr.errors import CorruptionError, InputError, UsageError

TUNED_IN = ("fusion", "feedback", "dense_weight", "effort")


class DefaultsText(TypedDict, total=False):
    """``SearchDefaults`` as JSON, each as the option of that name of ``lsr search`` takes it."""

    fusion: str
    feedback: str
    dense_weight: float
    effort: float


@dataclass(frozen=True, slots=True)
class SearchDefaults:
    """Settings of a search that stand where it doesn't say them; None: as lsr has it.

    Each as in ``SearchConfig``; ``effort`` is of approximate search without a time budget.
    """

    fusion: Fusion | None = None
    feedback: Feedback | None = None
    dense_weight: float | None = None
    effort: float | None = None

    def texts(self) -> DefaultsText:
        """Those that are set, by name, as JSON holds them."""
        found: DefaultsText = {}
        if self.fusion is not None:
            found["fusion"] = fusion_text(self.fusion)
        if self.feedback is not None:
            found["feedback"] = feedback_text(self.feedback)
        if self.dense_weight is not None:
            found["dense_weight"] = self.dense_weight
        if self.effort is not None:
            found["effort"] = self.effort
        return found

    def applied(self, config: SearchConfig) -> SearchConfig:
        """A configuration with these where it says nothing."""
        approximate = config.mode == "approximate" and config.time_budget_ms is None
        return replace(
            config,
            fusion=config.fusion or self.fusion,
            feedback=config.feedback or self.feedback,
            dense_weight=self.dense_weight if config.dense_weight is None else config.dense_weight,
            effort=self.effort if approximate and config.effort is None else config.effort,
        )


def settings_text(defaults: SearchDefaults) -> str:
    """Settings in one line, as the options of a search that set them."""
    texts = defaults.texts().items()
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in texts) or "none"


def with_defaults(view: View, config: SearchConfig) -> SearchConfig:
    """A configuration with what the collection keeps for the fields that it searches.

    Raises:
        CorruptionError: what it keeps is damaged.
    """
    if not config.tuned or config.prefetch or view.search_defaults == "{}":
        return config
    kept = _parsed(view.search_defaults).get(key_of(view.fields, config.using))
    return config if kept is None else kept.applied(config)


def key_of(fields: FieldEncoders, using: str | None) -> str:
    """By what name the defaults of a search are kept: its fields, whatever their order."""
    return "+".join(sorted(names_of(using or default_using(fields))))


def read_defaults(collection: Writable) -> dict[str, SearchDefaults]:
    """What a collection keeps, by ``key_of``.

    Raises:
        CorruptionError: it is damaged.
    """
    return dict(_parsed(search_defaults_text(collection.store)))


def keep_defaults(collection: Writable, using: str | None, defaults: SearchDefaults) -> None:
    """Make settings those of every later search of the fields of ``using`` that says no others.

    Raises:
        LockedError: another process is writing.
        UsageError: the collection may only be read.
        CorruptionError: what is kept for other fields is damaged.
    """
    with collection.writing():
        kept = read_defaults(collection) | {key_of(collection.fields, using): defaults}
        _write(collection, kept)


def change_defaults(
    collection: Writable, changes: Mapping[str, Mapping[str, str | float] | None]
) -> None:
    """Make settings, as ``SearchDefaults.texts`` has them, those of the fields they stand under.

    None forgets what is kept for these fields.

    Raises:
        InputError, UsageError: a field or setting is unknown, or a value is out of range.
        LockedError: another process is writing.
        CorruptionError: what is kept for other fields is damaged.
    """
    with collection.writing():
        kept = read_defaults(collection)
        for using, given in changes.items():
            key = key_of(collection.fields, using)
            fields = key.split("+")
            for name in fields:
                collection.fields.named(name)
            if len(set(fields)) < len(fields):
                raise InputError(f"{using!r} names a field twice")
            if given is None:
                kept.pop(key, None)
            else:
                kept[key] = _parse(dict(given), fields)
        _write(collection, kept)


def reset_defaults(collection: Writable) -> None:
    """Forget all that is kept, even where it is damaged.

    Raises:
        LockedError: another process is writing.
        UsageError: the collection may only be read.
    """
    _write(collection, {})


def _write(collection: Writable, defaults: dict[str, SearchDefaults]) -> None:
    text = json.dumps({key: each.texts() for key, each in sorted(defaults.items())})
    if len(text) > LONGEST:
        raise InputError(f"the search defaults have {len(text)} characters; allowed are {LONGEST}")
    collection.change_settings({SETTING: text})


@lru_cache(maxsize=64)
def _parsed(text: str) -> dict[str, SearchDefaults]:
    try:
        kept = check_search_defaults(text).items()
        return {key: _parse(dict(each), key.split("+")) for key, each in kept}
    except (InputError, UsageError, TypeError) as error:
        raise CorruptionError(
            f"the search defaults of the collection can't be read: {error}; remove them with: "
            "lsr tune COLLECTION --reset"
        ) from error


def _parse(given: dict[str, str | float], fields: list[str]) -> SearchDefaults:
    unknown = [name for name in given if name not in TUNED_IN]
    if unknown:
        raise InputError(f"there is a setting {unknown[0]!r}; known are {', '.join(TUNED_IN)}")
    texts = {name: given.pop(name) for name in ("fusion", "feedback") if name in given}
    for name, value in [*texts.items(), *given.items()]:
        if isinstance(value, str) != (name in texts):
            raise InputError(f"the {name} is {value!r}")
    fusion = depth = None
    if "fusion" in texts:
        fusion, depth = parse_fusion(str(texts["fusion"]))
    if depth is not None:
        raise InputError(f"the fusion {texts['fusion']!r} has a depth, which is not kept")
    feedback = parse_feedback(str(texts["feedback"])) if "feedback" in texts else None
    if fusion is not None:
        fusion.check_names(fields)
    if feedback is not None and feedback.using not in ("", *fields):
        raise InputError(f"the feedback is of {feedback.using!r}, which is not searched")
    numbers = {name: float(value) for name, value in given.items()}
    # Checks their range.
    SearchConfig(dense_weight=numbers.get("dense_weight"))
    if "effort" in numbers:
        SearchConfig(mode="approximate", effort=numbers["effort"])
    return SearchDefaults(fusion, feedback, **numbers)
