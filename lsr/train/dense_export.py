"""Dense encoders written as folders that sentence-transformers and ``lsr.dense`` load."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsr.torch_runtime import longest_input
from lsr.tower import Tower

# What tokenizers of all families consist of.
TOKENIZER = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
TOKENIZER += ["vocab.txt", "vocab.json", "merges.txt", "*.model"]
# Names that every release of sentence-transformers knows.
TYPES = "sentence_transformers.models."


def export_dense(folder: Path, documents: Tower, queries: Tower, notes: Mapping[str, Any]) -> None:
    """Write the folder; it appears whole, in place of an earlier one.

    The two towers may be the same; two become a Router, and need sentence-transformers 5. The
    model's similarity is the inner product.

    Args:
        folder: where; its parent exists.
        documents: the tower of documents, with its weights as they are now.
        queries: the tower of queries.
        notes: further JSON files by name.
    """
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as place:
        new = Path(place, "new")
        new.mkdir()
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
            _write_json(new / "router_config.json", router)
            modules = {"": "Router"}
        if documents.normalise:
            modules[f"{len(modules)}_Normalize"] = "Normalize"
        listed = [
            {"idx": number, "name": str(number), "path": path, "type": TYPES + kind}
            for number, (path, kind) in enumerate(modules.items())
        ]
        _write_json(new / "modules.json", listed)
        declared = {"model_type": "SentenceTransformer", "similarity_fn_name": "dot"}
        _write_json(new / "config_sentence_transformers.json", declared)
        for name, note in notes.items():
            _write_json(new / name, note)
        if folder.exists():
            folder.rename(Path(place, "old"))
        new.rename(folder)


def _write_side(folder: Path, side: str, tower: Tower) -> dict[str, str]:
    """A route of a Router: the names of its modules and their kinds."""
    body = folder / f"{side}_0_Transformer"
    body.mkdir()
    _write_transformer(body, tower)
    return {body.name: "Transformer"} | _write_pooling(folder, f"{side}_1_Pooling", tower)


def _write_transformer(folder: Path, tower: Tower) -> None:
    tower.model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)  # a place on the machine that trained it
    _write_json(folder / "config.json", config)
    for pattern in TOKENIZER:
        for path in tower.checkpoint.folder.glob(pattern):
            shutil.copyfile(path, folder / path.name)
    tower.checkpoint.vocabulary.tokenizer.save(str(folder / "tokenizer.json"))
    longest = longest_input(tower.model, tower.max_length)
    length = {"max_seq_length": longest, "do_lower_case": False}
    _write_json(folder / "sentence_bert_config.json", length)


def _write_pooling(folder: Path, name: str, tower: Tower) -> dict[str, str]:
    (folder / name).mkdir()
    modes = {
        "word_embedding_dimension": tower.dimension,
        "pooling_mode_cls_token": tower.pooling == "cls",
        "pooling_mode_mean_tokens": tower.pooling == "mean",
    }
    _write_json(folder / name / "config.json", modes)
    return {name: "Pooling"}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
