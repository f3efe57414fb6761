"""Every family of re-rankers, and a re-ranker by its name."""

from __future__ import annotations

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import split_name
from lsr.errors import UsageError
from lsr.rerankers.bi_encoder import DENSE, SPARSE, DenseReranker, SparseReranker
from lsr.rerankers.cross_encoder import FAMILY, CrossEncoder, CrossEncoderConfig
from lsr.rerankers.presets import RERANKER_PRESETS
from lsr.rerankers.reranker import Reranker
from lsr.settings import configure
from lsr.trusted_code import NO_CODE, TrustedCode


def load_reranker(name: str, trusted: TrustedCode = NO_CODE) -> Reranker:
    """The re-ranker of that name; its weights are read by ``load``, or with the first score.

    ``[cross-encoder:]MODEL[,max_length=N]`` is a cross-encoder: a hub id, a folder, or a name of
    ``RERANKER_PRESETS``. ``sparse:ENCODER`` and ``dense:MODEL`` score texts by a second encoder,
    named as for indexing.

    Raises:
        InputError: the model can't be used as such a re-ranker.
        NotFoundError: there is no such model.
        UsageError: the name is malformed, or the model asks to run code that isn't trusted.
    """
    family, colon, model = name.strip().partition(":")
    if colon and not model:
        raise UsageError(f"{name!r} names no model; write {family}:MODEL")
    if family == SPARSE and colon:
        return SparseReranker(load_encoder(model, trusted))
    if family == DENSE and colon:
        return DenseReranker(DenseEncoder.load(model))
    model, *options = split_name(model if family == FAMILY and colon else name.strip())
    if not model:
        raise UsageError(
            f"{name!r} is not the name of a re-ranker; write MODEL, {FAMILY}:MODEL, "
            f"{SPARSE}:ENCODER or {DENSE}:MODEL"
        )
    preset = RERANKER_PRESETS.get(model)
    settings = dict(option.partition("=")[::2] for option in options)
    config = configure(CrossEncoderConfig, settings)
    return CrossEncoder.named(preset.hub if preset else model, config, trusted)
