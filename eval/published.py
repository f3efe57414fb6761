"""Numbers that others published, with their sources, to stand beside ours."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

from eval.known import BY_NAME

MEASURE = "nDCG@10"


@dataclass(frozen=True, slots=True)
class PublishedSystem:
    """A system of the literature, and where its numbers stand.

    ``source`` and ``url`` are what to cite, ``seen`` how the numbers were read there.
    ``conditions`` is how was searched, ``trained_with`` what it learned from (empty: nothing), and
    ``trained_on`` has the data sets whose own train split was in that.
    """

    name: str
    title: str
    source: str
    url: str
    seen: str
    conditions: str
    trained_with: str
    trained_on: tuple[str, ...]
    # nDCG@10 x 100 as printed, by data set, and the mean that the source gives of 13 of them.
    printed: dict[str, float]
    mean_of_13: float


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """A published measure of one data set; ``differs`` has what to know before it is compared."""

    dataset: str
    system: str
    measure: str
    # From 0 to 1, as ours are.
    value: float
    source: str
    url: str
    seen: str
    differs: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self) | {"differs": list(self.differs)}


def published_systems() -> tuple[PublishedSystem, ...]:
    """All of them, in the order of the file."""
    return _read()[1]


def published_name(name: str) -> str | None:
    """Which data set of BEIR the name of one of ours means: ``scifact``, ``beir/scifact/test``,
    ``BEIR-SciFact``; None where nothing was published of it, as of ``nq-oracle``.
    """
    plain = name.lower().removeprefix("irds:").replace("_", "-")
    for prefix in ("beir/", "beir-"):
        plain = plain.removeprefix(prefix)
    plain = plain.removesuffix("/test")
    aliases, systems = _read()
    plain = aliases.get(plain, plain)
    return plain if any(plain in system.printed for system in systems) else None


def published_numbers(
    name: str, documents: int | None = None, queries: int | None = None
) -> list[PublishedNumber]:
    """What was published of a data set; empty where nothing was.

    Args:
        name: of ours.
        documents: how many it has, to say where it is another one of the same name.
        queries: how many of its queries are judged.
    """
    known = published_name(name)
    if known is None:
        return []
    usual, ours = BY_NAME.get(f"beir/{known}"), []
    if usual and documents not in (None, usual.documents):
        ours.append(f"of {usual.documents:,} documents, ours are {documents:,}")
    if usual and queries not in (None, usual.queries):
        ours.append(f"of {usual.queries:,} queries, ours are {queries:,}")
    return [
        PublishedNumber(
            dataset=name, system=system.title, measure=MEASURE,
            value=round(system.printed[known] / 100, 6), source=system.source,
            url=system.url, seen=system.seen,
            differs=(*ours, *_training(system, [known]), system.conditions),
        )
        for system in published_systems()
        if known in system.printed
    ]  # fmt: skip


def published_means(names: Sequence[str]) -> list[PublishedNumber]:
    """Means over the data sets of ours that the literature has, of systems measured on all.

    Empty where these are fewer than two.
    """
    known = list(dict.fromkeys(found for name in names if (found := published_name(name))))
    if len(known) < 2:
        return []
    return [
        PublishedNumber(
            dataset=f"mean of {len(known)}", system=system.title, measure=MEASURE,
            value=round(sum(system.printed[name] for name in known) / len(known) / 100, 6),
            source=system.source, url=system.url, seen=system.seen,
            differs=(*_training(system, known), system.conditions),
        )
        for system in published_systems()
        if all(name in system.printed for name in known)
    ]  # fmt: skip


def _training(system: PublishedSystem, names: Sequence[str]) -> list[str]:
    own = [name for name in names if name in system.trained_on]
    if own:
        where = (
            "its own train split" if len(names) == 1 else f"the train splits of {', '.join(own)}"
        )
        return [f"trained on {where}, so not zero-shot"]
    return [f"trained with {system.trained_with}"] if system.trained_with else []


@cache
def _read() -> tuple[dict[str, str], tuple[PublishedSystem, ...]]:
    """The data sets by their other names, and the systems."""
    text = resources.files("eval").joinpath("data", "published.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    systems = tuple(
        PublishedSystem(
            name=name, title=row["title"], source=row["source"], url=row["url"],
            seen=row["seen"], conditions=row["conditions"], trained_with=row["trained_with"],
            trained_on=tuple(row["trained_on"]), printed=row["ndcg_at_10"],
            mean_of_13=row["mean_of_13"],
        )
        for name, row in content["systems"].items()
    )  # fmt: skip
    return content["aliases"], systems
