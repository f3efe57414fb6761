"""The text form of a fusion: ``linear,norm=z-score,sparse=0.4,dense=0.6,depth=500``."""

from __future__ import annotations

from collections.abc import Mapping

from index.search.fusion import CombMnz, Fusion, LinearFusion, ReciprocalRankFusion
from lsr.errors import UsageError

DEFAULT = "default"
# The settings of each, but for weights: whatever else is named is a field.
SETTINGS: Mapping[str, tuple[str, ...]] = {
    DEFAULT: (),
    "rrf": ("k",),
    "linear": ("norm", "missing"),
    "combmnz": ("norm",),
}
NORM_OF = "norm."


def parse_fusion(text: str) -> tuple[Fusion | None, int | None]:
    """The fusion that a text names, and its depth; None: the default of the search.

    A name of ``SETTINGS``, and behind commas settings, ``norm.FIELD=NORM`` for the norm of one
    field, ``FIELD=WEIGHT``, and ``depth=N``.

    Raises:
        UsageError: it is none.
        InputError: a setting is out of range.
    """
    name, *options = (part.strip() for part in text.split(","))
    given = dict(option.partition("=")[::2] for option in options)
    if name not in SETTINGS or len(given) < len(options) or not all(map(all, given.items())):
        raise UsageError(
            f"{text!r} is no fusion; write one of {', '.join(SETTINGS)}, and settings and weights "
            "of fields behind it, each once, as in rrf,k=10 or linear,norm=max,sparse=1,dense=2"
        )
    depth = _whole(given.pop("depth")) if "depth" in given else None
    settings = {key: given.pop(key) for key in SETTINGS[name] if key in given}
    norms = {
        key.removeprefix(NORM_OF): given.pop(key)
        for key in list(given)
        if "norm" in SETTINGS[name] and key.startswith(NORM_OF)
    }
    if norms and "norm" in settings:
        raise UsageError(
            f"the fusion {text!r} has a norm for all fields and one for a field; give one for all, "
            "or norm.FIELD for each"
        )
    norm = norms or settings.get("norm", "min-max")
    if name == DEFAULT and given:
        raise UsageError(
            f"the fusion {DEFAULT} was given {next(iter(given))!r}, and takes nothing but depth; "
            "name rrf, linear or combmnz to set more"
        )
    weights = {field: _number(name, field, value) for field, value in given.items()}
    if name == "rrf":
        k = _number(name, "k", settings.get("k", "60"))
        return ReciprocalRankFusion(k, weights), depth
    if name == "linear":
        return LinearFusion(weights, norm, settings.get("missing", "minimum")), depth
    return (CombMnz(weights, norm) if name == "combmnz" else None), depth


def fusion_text(fusion: Fusion) -> str:
    """The text of which ``parse_fusion`` makes this fusion."""
    [(name, settings)] = fusion.describe().items()
    parts = [name]
    for key, value in settings.items():
        if key == "norm" and not isinstance(value, str):
            parts += [f"{NORM_OF}{field}={norm}" for field, norm in value.items()]
        elif key != "weights":
            parts.append(f"{key}={value}")
    return ",".join([*parts, *(f"{field}={w!r}" for field, w in settings["weights"].items())])


def _number(fusion: str, key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        settings = [*SETTINGS[fusion], "depth"]
        raise UsageError(
            f"{key}={value} in the fusion {fusion} is no number; settings are "
            f"{', '.join(settings)}, and whatever else is named is a field with its weight"
        ) from None


def _whole(value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(
            f"the depth of the fusion is {value!r}; give a whole number, as in depth=500"
        ) from None
