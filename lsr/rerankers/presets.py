"""Published cross-encoders by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

APACHE = "Apache-2.0"


@dataclass(frozen=True, slots=True)
class RerankerPreset:
    """One published cross-encoder; how it is run its folder says itself."""

    # By which it is called.
    name: str
    # Its Hugging Face id.
    hub: str
    # Millions of parameters.
    size: float
    # Tokens of a pair that count.
    max_length: int
    # What its score is.
    handling: str
    # Of the weights: an SPDX name.
    licence: str = APACHE

    def card(self) -> dict[str, Any]:
        """Everything a table shows of it, as JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def _minilm() -> list[RerankerPreset]:
    """Trained on MS MARCO by distillation from three larger cross-encoders."""
    sizes = {"TinyBERT-L2": 4.4, "MiniLM-L2": 15.6, "MiniLM-L4": 19.2, "MiniLM-L6": 22.7,
             "MiniLM-L12": 33.4}  # fmt: skip
    return [
        RerankerPreset(
            f"ms-marco-{name.lower()}",
            f"cross-encoder/ms-marco-{name}-v2",
            size,
            512,
            "BERT's head; the score is the logit as it is.",
        )
        for name, size in sizes.items()
    ]


def _ettin() -> list[RerankerPreset]:
    """ModernBERT encoders that imitate mxbai-rerank-large-v2."""
    sizes = {"17m": 16.8, "32m": 31.9, "68m": 68.1, "150m": 149.0, "400m": 395.0, "1b": 1000.0}
    return [
        RerankerPreset(
            f"ettin-reranker-{name}",
            f"cross-encoder/ettin-reranker-{name}-v1",
            size,
            7999,
            "ModernBERT, with Pooling, Dense and LayerNorm as modules of their own behind it.",
        )
        for name, size in sizes.items()
    ]


def _modernbert() -> list[RerankerPreset]:
    return [
        RerankerPreset(
            "gte-reranker-modernbert",
            "Alibaba-NLP/gte-reranker-modernbert-base",
            150.0,
            8192,
            "ModernBERT's head; the score is the sigmoid of the logit.",
        )
    ]


# What there is, by name.
RERANKER_PRESETS: dict[str, RerankerPreset] = {
    preset.name: preset for preset in [*_minilm(), *_ettin(), *_modernbert()]
}
