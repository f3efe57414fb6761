"""Dense encoders written as folders that sentence-transformers and ``lsr.encoders.dense`` load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsr.backbones.exported_folder import appearing
from lsr.backbones.model_weights import longest_input
from lsr.backbones.pooled import PooledTransformer
from lsr.train.model_folder import write_json, write_modules, write_transformer

# Names that every release of sentence-transformers knows.
TYPES = "sentence_transformers.models."


def export_dense(
    folder: Path, documents: PooledTransformer, queries: PooledTransformer, notes: Mapping[str, Any]
) -> None:
    """Write the folder; it appears whole, in place of an earlier one.

    The two towers may be the same; two become a Router, and need sentence-transformers 5. The
    model's similarity is the inner product.

    Args:
        folder: where; its parent exists.
        documents: the tower of documents, with its weights as they are now.
        queries: the tower of queries.
        notes: further JSON files by name.

    Raises:
        UsageError: the folder holds something other than an earlier export.
        InputError: the tokenizer has no special token.
    """
    with appearing(folder, "modules.json") as new:
        if documents is queries:
            _write_transformer(new, documents)
            modules = {"": "Transformer"} | _write_pooling(new, "1_Pooling", documents)
        else:
            routes = {
                side: _write_side(new, side, tower)
                for side, tower in (("query", queries), ("document", documents))
            }
            router = {
                "types": {n: TYPES + t for route in routes.values() for n, t in route.items()},
                "structure": {side: list(route) for side, route in routes.items()},
                "parameters": {"default_route": "document", "allow_empty_key": True},
            }
            write_json(new / "router_config.json", router)
            modules = {"": "Router"}
        if documents.normalise:
            modules[f"{len(modules)}_Normalize"] = "Normalize"
        write_modules(new, {path: TYPES + kind for path, kind in modules.items()})
        declared = {"model_type": "SentenceTransformer", "similarity_fn_name": "dot"}
        write_json(new / "config_sentence_transformers.json", declared)
        for name, note in notes.items():
            write_json(new / name, note)


def _write_side(folder: Path, side: str, tower: PooledTransformer) -> dict[str, str]:
    """A route of a Router: the names of its modules and their kinds."""
    body = folder / f"{side}_0_Transformer"
    body.mkdir()
    _write_transformer(body, tower)
    return {body.name: "Transformer"} | _write_pooling(folder, f"{side}_1_Pooling", tower)


def _write_transformer(folder: Path, tower: PooledTransformer) -> None:
    length = longest_input(tower.model, tower.max_length)
    write_transformer(folder, tower.model, tower.checkpoint.vocabulary, length)


def _write_pooling(folder: Path, name: str, tower: PooledTransformer) -> dict[str, str]:
    (folder / name).mkdir()
    modes = {
        "word_embedding_dimension": tower.dimension,
        "pooling_mode_cls_token": tower.pooling == "cls",
        "pooling_mode_mean_tokens": tower.pooling == "mean",
    }
    write_json(folder / name / "config.json", modes)
    return {name: "Pooling"}
