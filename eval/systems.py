"""Ways of searching a collection: which there are, and what tells one from another."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from index.collection.field import BM25, DENSE, SPARSE, Field
from index.search.config import HYBRID, SearchConfig
from index.search.fusion import Fusion
from index.search.plan import names_of
from index.search.reranking import FIELD
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.encoder import short_name
from lsr.errors import InputError
from lsr.rerankers.catalogue import load_reranker
from lsr.trusted_code import NO_CODE, TrustedCode


@dataclass(frozen=True)
class Planned:
    """A cell before its search: how, by which encoders, and in an index of which fields.

    ``system`` identifies the encoders that are searched and the settings, in 16 hexadecimal digits.
    ``fields`` has the fingerprints of all fields of the index.
    """

    encoder: str
    config: SearchConfig
    measures: Sequence[str]
    system: str
    fields: Mapping[str, str]


def plan(
    fields: Sequence[Field],
    config: SearchConfig,
    measures: Sequence[str],
    trusted: TrustedCode = NO_CODE,
    names: Mapping[str, str] | None = None,
) -> Planned:
    """A search of an index with these fields; ``names`` as for ``evaluate_dataset``."""
    searched = [field for field in fields if field.name in names_of(config.using or "")]
    by: list[Any] = [{field.name: field.fingerprint for field in searched}, settings_of(config)]
    if config.query_encoder is not None:
        by.append(load_encoder(config.query_encoder, trusted).fingerprint)
    if config.rerank is not None and not config.rerank.model.strip().startswith(FIELD):
        by.append(load_reranker(config.rerank.model.strip(), trusted).fingerprint)
    key = json.dumps(by, sort_keys=True)
    encoder = "+".join(label_of(field, config, names or {}) for field in searched)
    return Planned(
        encoder + (f">{short_name(config.rerank.model)}" if config.rerank else ""),
        config,
        measures,
        hashlib.blake2b(key.encode(), digest_size=8).hexdigest(),
        {field.name: field.fingerprint for field in fields},
    )


def choices_of(
    fields: Sequence[Field], asked: SearchConfig, using: Sequence[str] = ()
) -> Sequence[str]:
    """What is searched: what is named, or else all that the settings have a part in."""
    if using or asked.using:
        return list(dict.fromkeys(using)) or [asked.using or ""]
    found = every_search(fields)
    if asked.query_encoder:
        found = [each for each in found if SPARSE in names_of(each)]
    fused = [each for each in found if len(names_of(each)) > 1]
    if asked.fusion is not None and any(_may_fuse(asked.fusion, each) for each in fused):
        found = [each for each in found if each not in fused or _may_fuse(asked.fusion, each)]
    return found


def _may_fuse(fusion: Fusion, using: str) -> bool:
    """Whether a fusion has no settings of fields beside these."""
    try:
        fusion.check_names(names_of(using))
    except InputError:
        return False
    return True


def every_search(fields: Iterable[Field]) -> list[str]:
    """Each field of a collection, and their fusions: with BM25, with the dense one, and of all."""
    names = [field.name for field in fields]
    fused = ["+".join((SPARSE, BM25))] if BM25 in names else []
    if DENSE in names:
        fused += [HYBRID, "+".join((SPARSE, DENSE, BM25))] if fused else [HYBRID]
    return [*names, *fused]


def search_of(choice: str, asked: SearchConfig) -> SearchConfig:
    """The search of a field or of several; one field has no fusion."""
    config = replace(asked, using=choice)
    if choice != HYBRID and "+" not in choice:
        config = replace(config, fusion=None, fusion_depth=None)
    return config


def label_of(field: Field, config: SearchConfig, names: Mapping[str, str]) -> str:
    """A field's encoder, and that of its queries after ``<-`` where it is another."""
    name = names.get(field.fingerprint) or short_name(field.encoder)
    if field.name == SPARSE and config.query_encoder is not None:
        return f"{name}<-{short_name(config.query_encoder)}"
    return name


def settings_of(config: SearchConfig) -> dict[str, Any]:
    """The settings of a search that are not the defaults, as JSON values."""
    defaults = SearchConfig()
    return {
        each.name: _plain(getattr(config, each.name))
        for each in dataclasses.fields(config)
        if getattr(config, each.name) != getattr(defaults, each.name)
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        members = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {
            "kind": type(value).__name__,
            **{name: _plain(each) for name, each in members.items()},
        }
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
