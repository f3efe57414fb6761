"""Which rankings a search needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from index.collection.field import DENSE, SPARSE, Field
from index.collection.field_encoders import FieldEncoders
from index.search.config import FUSION_DEPTH, HYBRID, Prefetch, SearchConfig
from index.search.default_fusion import default_fusion
from index.search.fusion import Fusion
from lsr.encoders.encoder import SparseEncoder
from lsr.errors import UsageError


@dataclass(frozen=True, slots=True)
class FieldSearch:
    """One ranking: of which field, and how deep.

    ``encoder`` is what encodes the text of queries where it isn't the field's own.
    """

    field: Field
    limit: int
    encoder: SparseEncoder | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The rankings of distinct fields that a search needs, and what makes them one.

    ``using`` is the name of the search; without a ``fusion`` it is the only field's.
    """

    using: str
    searches: tuple[FieldSearch, ...]
    fusion: Fusion | None

    @property
    def sparse(self) -> int:
        """Number of rankings of sparse fields."""
        return sum(search.field.kind == "sparse" for search in self.searches)

    def deeper(self, results: int) -> Plan:
        """The same with rankings that go so many results deeper."""
        searches = tuple(replace(each, limit=each.limit + results) for each in self.searches)
        return replace(self, searches=searches)


def plan_search(fields: FieldEncoders, config: SearchConfig) -> Plan:
    """What to rank in a collection of these fields.

    Raises:
        InputError: a weight of the fusion is of none of these rankings.
        UsageError: there is no such field, one is named more than once, or what is asked for can't
            be combined.
        EncoderMismatchError: the query encoder has another vocabulary than its field.
        NotFoundError: there is no such query encoder.
    """
    using, parts = _prefetch(fields, config)
    searched = [fields.named(part.using) for part in parts]
    if config.fusion is not None:
        config.fusion.check_names([field.name for field in searched])
    fusion = None
    if config.prefetch or len(parts) > 1:
        fusion = config.fusion or default_fusion(searched)
    encoders = _query_encoders(fields, searched, config)
    searches = tuple(
        FieldSearch(field, part.limit, encoders.get(field.name))
        for field, part in zip(searched, parts, strict=True)
    )
    return Plan(using, searches, fusion)


def default_using(fields: FieldEncoders) -> str:
    """What is searched where nothing is said: hybrid if there is a dense field, else sparse."""
    names = [field.name for field in fields]
    return HYBRID if DENSE in names else names[0]


def _prefetch(fields: FieldEncoders, config: SearchConfig) -> tuple[str, list[Prefetch]]:
    """The name of the search, and how deep it ranks which fields."""
    if config.prefetch:
        if config.using not in (None, HYBRID):
            raise UsageError(f"prefetch is fused, so it goes with using={HYBRID!r} only")
        return HYBRID, _distinct(config.prefetch)
    using = config.using or default_using(fields)
    names = [SPARSE, DENSE] if using == HYBRID else using.split("+")
    if using == HYBRID and DENSE not in (field.name for field in fields):
        raise UsageError(
            f"the collection {fields.collection!r} has no dense field, which hybrid search "
            "needs; index with --dense MODEL, or fuse other fields, as in sparse+bm25"
        )
    depth = config.ranked if len(names) == 1 else config.fusion_depth or FUSION_DEPTH
    return using, _distinct([Prefetch(name, depth) for name in names])


def _distinct(parts: Sequence[Prefetch]) -> list[Prefetch]:
    names = [part.using for part in parts]
    if len(set(names)) != len(names):
        raise UsageError(f"{'+'.join(names)} names a field more than once; name each once")
    return list(parts)


def _query_encoders(
    fields: FieldEncoders, searched: Sequence[Field], config: SearchConfig
) -> dict[str, SparseEncoder]:
    """What encodes the queries to a field, where it isn't the field's own."""
    if config.query_encoder is None:
        return {}
    for field in searched:
        if field.name == SPARSE:
            return {SPARSE: fields.query_encoder(field, config.query_encoder)}
    raise UsageError(
        f"a query encoder goes with the field {SPARSE!r}, and searched are "
        f"{', '.join(field.name for field in searched)}; search that field too, or give none"
    )
