"""What came of an adaptation: before and after, and what the model card says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.significance import Interval, mean_interval, paired_scores
from lsr.encoders.encoder import short_name
from lsr.whole_file import write_whole

CARD, HEADING = "README.md", "## Adaptation"


@dataclass(frozen=True)
class BeforeAfter:
    """A measure by the encoder that a collection has, and by the adapted one.

    ``gain`` is the mean of the queries' differences with its 95 % interval.
    """

    queries: int
    before: float
    after: float
    gain: Interval

    @classmethod
    def of(cls, before: Mapping[str, float], after: Mapping[str, float]) -> BeforeAfter:
        """Of the values of the same queries, two or more."""
        new, old = paired_scores(after, before)
        return cls(len(old), float(old.mean()), float(new.mean()), mean_interval(list(new - old)))


@dataclass(frozen=True)
class Adapted:
    """What came of it.

    ``held_out`` and ``judged`` compare by the pairs that were kept aside and by judged queries,
    where there are some. ``encoder`` is the adapted encoder's name; ``swapped`` whether the
    collection has it now, and ``former`` then is where the collection as it was lies.
    """

    encoder: str
    pairs: int
    nnz: tuple[float, float]
    held_out: BeforeAfter
    judged: BeforeAfter | None
    swapped: bool
    former: Path | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return asdict(self) | {"former": None if self.former is None else str(self.former)}


def tell_card(
    student: Path,
    found: Adapted,
    collection: str,
    kinds: Mapping[str, int],
    teachers: Sequence[str],
) -> None:
    """Put into the card how the encoder was adapted, in place of what an earlier run said.

    Args:
        student: folder of the encoder.
        found: what came of it.
        collection: its name.
        kinds: how many pairs there are of each kind.
        teachers: their names; of a folder, its own name is told.
    """
    file = student / CARD
    card = file.read_text(encoding="utf-8").partition(f"\n{HEADING}\n")[0].rstrip()
    named = ", ".join(map(short_name, teachers))
    pairs = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    rows = [
        f"| {name} | {each.queries:,} | {each.before:.4f} | {each.after:.4f} "
        f"| {each.gain.mean:+.4f} ({each.gain.low:+.4f} to {each.gain.high:+.4f}) |"
        for name, each in (
            ("pairs kept aside", found.held_out),
            ("judged queries", found.judged),
        )
        if each is not None
    ]
    came = (
        "The collection has it now." if found.swapped else f"The collection stays: {found.reason}."
    )
    lines = [
        HEADING,
        "",
        f"`lsr adapt` trained it on the documents of the collection `{collection}`, by "
        f"{found.pairs:,} pairs drawn from them ({pairs}), with documents that the collection "
        f"finds for their queries as hard negatives. Teachers: {named}. A document had "
        f"{found.nnz[0]:.0f} terms on average before, and has {found.nnz[1]:.0f} now. {came}",
        "",
        "| nDCG@10 | queries | before | adapted | gain, 95 % interval |",
        "|---|---:|---:|---:|---:|",
        *rows,
    ]
    write_whole(file, "\n".join([card, "", *lines]) + "\n")
