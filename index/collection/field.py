"""The fields of a collection: what is stored of each document beside its text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.bm25 import PIECES, Bm25Config, Bm25Encoder
from lsr.encoders.catalogue import in_language, load_encoder
from lsr.encoders.dense import DenseEncoder, without_weight
from lsr.encoders.encoder import SparseEncoder, split_name
from lsr.encoders.packaged import DEFAULT_ENCODER, WITHOUT_DENSE_TERMS
from lsr.errors import CorruptionError, EncoderMismatchError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode, without_consent
from lsr.vectors.source import LARGEST_VOCABULARY
from lsr.vocabulary import Vocabulary

SPARSE, DENSE, BM25 = "sparse", "dense", "bm25"
# The encoders that got words, and the option by which each is as it was.
_WITHOUT_WORDS = {"bm25": f"analyzer={PIECES}", WITHOUT_DENSE_TERMS: "words=no"}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, its kind, and the encoder that filled it.

    ``size`` is the vocabulary size of a sparse field and the dimension of a dense one;
    ``counts`` tells that the field stores term counts, not weights. ``vocabulary`` is the digest
    of a sparse field's vocabulary, "" where an earlier release made the field. ``open`` tells that
    the ids from ``size`` on stand for the words of the collection's dictionary, and
    ``counts_words`` that of these, counts are stored. ``counted`` tells that the store counts in
    how many texts each term below ``size`` occurs, for the encoder's IDF.
    """

    name: str
    kind: Literal["sparse", "dense"]
    encoder: str
    fingerprint: str
    size: int
    counts: bool = False
    vocabulary: str = ""
    open: bool = False
    counts_words: bool = False
    counted: bool = False

    @property
    def weighed(self) -> bool:
        """Whether there are counts, which become weights by the statistics of the collection."""
        return self.counts or self.counts_words


def encoder_fields(
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    trusted: TrustedCode = NO_CODE,
    language: str | None = None,
) -> list[Field]:
    """The fields of a new collection: ``sparse``, and as asked for ``dense`` and ``bm25``.

    Where no encoder is named, it is the one that ships with this package. Where its queries are
    weighed by the collection's IDF, that is taken from the ``bm25`` field if there is one, and else
    the terms of ``sparse`` are counted. ``trusted`` are the models whose Python code may run.
    ``language`` names the analyser that makes words, as in ``in_language``.
    """
    name = DEFAULT_ENCODER if encoder is None else encoder
    if language is not None:
        name = in_language(name, language, trusted)
    return fields_beside(load_encoder(name, trusted), dense, bm25)


def fields_beside(
    sparse: SparseEncoder, dense: str | None = None, bm25: bool = False
) -> list[Field]:
    """``encoder_fields`` of an encoder that is loaded."""
    bm25 = bm25 and not sparse.stores_counts
    counted = sparse.uses_frequencies and not bm25
    fields = [replace(sparse_field(SPARSE, sparse), counted=counted)]
    if bm25:
        fields.append(sparse_field(BM25, _bm25_beside(sparse)))
    if dense is not None:
        model = DenseEncoder.load(dense)
        fields.append(Field(DENSE, "dense", model.name, model.fingerprint, model.dimension))
    return fields


def sparse_field(name: str, encoder: SparseEncoder) -> Field:
    """The field that an encoder fills."""
    return Field(
        name,
        "sparse",
        encoder.name,
        encoder.fingerprint,
        encoder.vocabulary.size,
        encoder.stores_counts,
        encoder.vocabulary.digest,
        encoder.open,
        encoder.counts_words,
    )


def check_encoder(field: Field, fingerprint: str) -> None:
    """Raise EncoderMismatchError unless the encoder is the one that filled the field."""
    if fingerprint != field.fingerprint:
        raise EncoderMismatchError(
            f"the field {field.name!r} was built with the encoder {field.fingerprint} "
            f"({field.encoder}), but {fingerprint} was given; use the encoder it was built with, "
            "or index into a new directory"
        )


def check_vocabulary(field: Field, built: Vocabulary, encoder: SparseEncoder) -> None:
    """Raise EncoderMismatchError unless the terms of a query encoder are those of the field.

    Args:
        field: the field that is searched.
        built: the vocabulary of the encoder that filled it.
        encoder: what is to encode the queries.
    """
    expected = field.vocabulary or built.digest
    given = encoder.vocabulary
    if (given.digest, given.size) != (expected, field.size):
        raise EncoderMismatchError(
            f"the query encoder {encoder.name} has the vocabulary {given.digest} of {given.size} "
            f"terms, but the field {field.name!r} was filled over the vocabulary {expected} of "
            f"{field.size} terms ({field.encoder}); give a query encoder with the same vocabulary, "
            "or none to use the field's own"
        )


def check_fields(
    place: object, built: Iterable[Field], wanted: Sequence[Field], exactly: bool
) -> None:
    """Raise EncoderMismatchError unless a collection has the fields that are asked for.

    ``exactly`` forbids further fields, but for one of counts where these are needed.

    Raises:
        UsageError: only the weight of the second of two dense models is another.
    """
    built, wanted = list(built), list(wanted)
    there = {field.name: field.fingerprint for field in built}
    asked = {field.name: _as_built(field, built) for field in wanted}
    if BM25 in there and any(field.counted for field in wanted):
        asked = asked | {BM25: there[BM25]}
    if asked == there or (not exactly and asked.items() <= there.items()):
        return
    raise EncoderMismatchError(
        f"{place} was built with {_spell(there)}, but {_spell(asked)} was asked for; "
        "leave out --encoder, --dense and --bm25 to keep its encoders, or give a new directory"
    )


def _as_built(field: Field, built: Sequence[Field]) -> str:
    """The fingerprint of a field that is asked for, or that which an earlier release gave it.

    Raises:
        UsageError: only the weight of the second of two dense models is another.
    """
    there = next((each for each in built if each.name == field.name), None)
    if field.kind != "dense" or there is None:
        return field.fingerprint
    (name, weight), (_, default) = map(without_weight, (field.encoder, there.encoder))
    if there.fingerprint != field.fingerprint:
        former = DenseEncoder.load(f"{name},weight={default}").former if default else ()
        if there.fingerprint not in former:
            return field.fingerprint
    if weight != default:
        raise UsageError(
            f"the collection's dense field has the weight {default}, and {weight} was given; its "
            f"vectors serve any, so leave it out here and search with --dense-weight {weight}"
        )
    return there.fingerprint


def _spell(fingerprints: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={fingerprint}" for name, fingerprint in fingerprints.items())


def dump_fields(fields: Sequence[Field]) -> str:
    """Fields as JSON."""
    return json.dumps([asdict(field) for field in fields])


def load_fields(text: str) -> list[Field]:
    """Fields from the JSON of ``dump_fields``, by whichever release.

    Raises:
        CorruptionError: it is no such JSON.
    """
    try:
        fields = [Field(**_respelled(entry)) for entry in json.loads(text)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptionError("the fields of the collection are malformed") from error
    if not fields or not all(map(_is_possible, fields)):
        raise CorruptionError("the fields of the collection are not possible ones")
    return [replace(field, encoder=without_consent(field.encoder)) for field in fields]


def _respelled(entry: dict[str, Any]) -> dict[str, Any]:
    """A field of a release without words, its encoder named so that it has none."""
    head, comma, options = str(entry["encoder"]).partition(",")
    if "open" in entry or head not in _WITHOUT_WORDS:
        return entry
    return entry | {"encoder": f"{head},{_WITHOUT_WORDS[head]}{comma}{options}"}


def _is_possible(field: Field) -> bool:
    texts = field.name, field.encoder, field.fingerprint, field.vocabulary
    flags = field.counts, field.open, field.counts_words, field.counted
    return (
        all(isinstance(text, str) for text in texts)
        and field.kind in ("sparse", "dense")
        and type(field.size) is int
        and 0 <= field.size <= LARGEST_VOCABULARY
        and all(isinstance(each, bool) for each in flags)
    )


def _bm25_beside(encoder: SparseEncoder) -> SparseEncoder:
    _, colon, model = split_name(encoder.name)[0].partition(":")
    return Bm25Encoder(Bm25Config(analyzer=PIECES), Checkpoint.resolve(model) if colon else None)
