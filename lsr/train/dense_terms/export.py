"""An encoder with dense terms as one folder: the sparse encoder, and beside it ``dense_terms``.

    config.json, model.safetensors, tokenizer.json, ...     the sparse encoder, as it was
    config_sentence_transformers.json                       under ``lsr``, weight and number of them
    dense_terms/term_vectors.safetensors                    a vector and a mean of each term
    dense_terms/model/                                      the dense model, as it was
    README.md                                               the model card

sentence-transformers and transformers load the sparse encoder alone.
"""

from __future__ import annotations

import json
from pathlib import Path

from lsr.backbones.checkpoint import CONFIG, FETCHED, NOT_FETCHED, Checkpoint
from lsr.backbones.declared import MODEL_SETTINGS, DeclaredDenseTerms
from lsr.backbones.exported_folder import appearing, copy_files
from lsr.encoders.dense_terms import FOLDER, MODEL, TABLE, TermVectors
from lsr.train.dense_terms.config import DenseTermsConfig
from lsr.train.model_folder import write_json


def export_dense_terms(
    folder: Path,
    base: Checkpoint,
    dense: Checkpoint,
    table: TermVectors,
    config: DenseTermsConfig,
    card: str,
) -> None:
    """Write the folder; it appears whole or not at all, in place of an earlier export.

    Args:
        folder: where; its parent exists.
        base: the sparse encoder's files.
        dense: the dense model's.
        table: of the terms of the base's vocabulary, by the dense model.
        config: weight and numbers of terms.
        card: the text of README.md.

    Raises:
        UsageError: the folder holds something other than an earlier export.
    """
    with appearing(folder, CONFIG) as new:
        copy_files(base.root, new, FETCHED, [*NOT_FETCHED, f"{FOLDER}/*"])
        copy_files(dense.root, new / FOLDER / MODEL, FETCHED, NOT_FETCHED)
        table.write(new / FOLDER / TABLE)
        settings = new / MODEL_SETTINGS
        declared = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
        numbers = DeclaredDenseTerms(config.weight, config.top).settings
        declared["lsr"] = declared.get("lsr", {}) | numbers
        write_json(settings, declared)
        (new / "README.md").write_text(card, encoding="utf-8")
