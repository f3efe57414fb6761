"""Which rankings a search needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from index.collection.field import DENSE, SPARSE, Field
from index.collection.field_encoders import FieldEncoders
from index.search.config import FUSION_DEPTH, HYBRID, Prefetch, SearchConfig
from index.search.default_fusion import default_fusion
from index.search.feedback import BEFORE, Feedback, Rm3
from index.search.fusion import Fusion
from index.search.matches import ALL
from lsr.encoders.encoder import SparseEncoder
from lsr.errors import UsageError


@dataclass(frozen=True, slots=True)
class FieldSearch:
    """One ranking: of which field, and how deep.

    ``encoder`` is what encodes the text of queries where it isn't the field's own. With
    ``feedback`` the field is ranked a second time.
    """

    field: Field
    limit: int
    encoder: SparseEncoder | None = None
    feedback: Feedback | None = None
    # As in SearchConfig.
    dense_weight: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The rankings of distinct fields that a search needs, and what makes them one.

    ``using`` is the name of the search; without a ``fusion`` it is the only field's.
    """

    using: str
    searches: tuple[FieldSearch, ...]
    fusion: Fusion | None

    @property
    def first(self) -> Plan:
        """The first round, in which each ranking is as deep as any feedback looks."""
        fed = [each.feedback.depth for each in self.searches if each.feedback]
        if not fed:
            return self
        deepest = max(fed)
        deep = [replace(each, limit=max(each.limit, deepest)) for each in self.searches]
        return replace(self, searches=tuple(deep))

    @property
    def second(self) -> Plan:
        """The rankings that feedback asks for."""
        fed = [each for each in self.searches if each.feedback]
        return replace(self, searches=tuple(replace(each, feedback=None) for each in fed))

    @property
    def answer(self) -> Plan:
        """The rankings that the answer is made of: all, or only those that were ranked again."""
        second = self.second
        if not any(
            each.feedback and each.feedback.interpolation == BEFORE for each in self.searches
        ):
            return self
        names = [each.field.name for each in second.searches]
        return replace(
            second, using="+".join(names), fusion=self.fusion if len(names) > 1 else None
        )

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
    feedbacks = _feedbacks(searched, parts, config)
    _check_dense_weight(fields, searched, config)
    searches = tuple(
        FieldSearch(
            field,
            part.limit,
            encoders.get(field.name),
            feedbacks.get(field.name),
            config.dense_weight if field.kind == "dense" else None,
        )
        for field, part in zip(searched, parts, strict=True)
    )
    return Plan(using, searches, fusion)


def default_using(fields: FieldEncoders) -> str:
    """What is searched where nothing is said: hybrid if there is a dense field, else sparse."""
    names = [field.name for field in fields]
    return HYBRID if DENSE in names else names[0]


def names_of(using: str) -> list[str]:
    """The fields that the name of a search without prefetches names, in its order."""
    return [SPARSE, DENSE] if using == HYBRID else using.split("+")


def _prefetch(fields: FieldEncoders, config: SearchConfig) -> tuple[str, list[Prefetch]]:
    """The name of the search, and how deep it ranks which fields."""
    if config.prefetch:
        if config.using not in (None, HYBRID):
            raise UsageError(f"prefetch is fused, so it goes with using={HYBRID!r} only")
        return HYBRID, _distinct(config.prefetch)
    using = config.using or default_using(fields)
    names = names_of(using)
    if using == HYBRID and DENSE not in (field.name for field in fields):
        raise UsageError(
            f"the collection {fields.collection!r} has no dense field, which hybrid search "
            "needs; index with --dense MODEL, or fuse other fields, as in sparse+bm25"
        )
    alone = ALL if config.ranks_all else config.ranked
    depth = alone if len(names) == 1 else config.fusion_depth or FUSION_DEPTH
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


def _check_dense_weight(
    fields: FieldEncoders, searched: Sequence[Field], config: SearchConfig
) -> None:
    if config.dense_weight is None:
        return
    dense = [field for field in searched if field.kind == "dense"]
    if not dense:
        raise UsageError(
            f"a dense weight goes with the field {DENSE!r}, and searched are "
            f"{', '.join(field.name for field in searched)}; search that field too, or give none"
        )
    for field in dense:
        fields.dense_encoder(field, config.dense_weight)


def _feedbacks(
    searched: Sequence[Field], parts: Sequence[Prefetch], config: SearchConfig
) -> dict[str, Feedback]:
    """The feedback of each field that is ranked again."""
    found = {}
    for field, part in zip(searched, parts, strict=True):
        if part.feedback is None:
            continue
        if part.feedback.using not in ("", field.name):
            raise UsageError(
                f"the feedback of the prefetch {field.name!r} names the field "
                f"{part.feedback.using!r}; leave it out there, for it is of its own field"
            )
        found[field.name] = part.feedback
    if config.feedback is not None:
        name = _fed(searched, config.feedback)
        if name in found:
            raise UsageError(
                f"the field {name!r} has a feedback in its prefetch and that of the whole search; "
                "give one of them"
            )
        found[name] = config.feedback
    for field in searched:
        if field.name in found:
            _check_feedback(field, found[field.name], len(searched))
    if len({each.interpolation == BEFORE for each in found.values()}) > 1:
        raise UsageError(
            f"one feedback has the interpolation {BEFORE!r}, which leaves other rankings out of "
            "the answer, and another fuses them; give all of a search the same"
        )
    return found


def _fed(searched: Sequence[Field], feedback: Feedback) -> str:
    """The name of the field that the feedback of a whole search is of."""
    names = [field.name for field in searched]
    if feedback.using:
        if feedback.using not in names:
            raise UsageError(
                f"the feedback is of the field {feedback.using!r}, and searched are "
                f"{', '.join(names)}; name one of them"
            )
        return feedback.using
    wanted = (
        (field.name for field in searched if field.counts)
        if isinstance(feedback, Rm3)
        else (field.name for field in searched if field.kind == "dense")
    )
    return next(wanted, names[0])


def _check_feedback(field: Field, feedback: Feedback, rankings: int) -> None:
    if isinstance(feedback, Rm3) and not field.counts:
        raise UsageError(
            f"the feedback rm3 is for fields of term counts, such as bm25, and {field.name!r} is "
            "none; give rocchio or average, or name another field with using"
        )
    if feedback.terms and field.kind == "dense":
        raise UsageError(
            f"the feedback keeps {feedback.terms} terms, and the field {field.name!r} is dense and "
            "has none; leave terms out"
        )
    if feedback.interpolation and rankings == 1:
        raise UsageError(
            f"the feedback's interpolation is {feedback.interpolation!r}, and one ranking alone is "
            "not fused; leave it out, or search several fields"
        )
