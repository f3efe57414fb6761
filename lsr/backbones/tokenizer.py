"""A model folder's tokenizer through transformers, where it has no tokenizer.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsr.backbones.torch_runtime import first_line, transformers
from lsr.errors import InputError


def load_tokenizer(folder: Path, name: str) -> Any:
    """The fast form of the tokenizer of a checkpoint's folder; ``name`` is for messages.

    Raises:
        InputError: it has no tokenizer files, or no fast form.
    """
    loader = transformers().AutoTokenizer
    try:
        tokenizer = loader.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # what transformers raises has no common base
        raise InputError(
            f"the tokenizer of {name!r} can't be loaded ({first_line(error)}); "
            "use a checkpoint that has a tokenizer.json"
        ) from error
    # Without its files transformers makes a tokenizer that knows no word.
    found = any((folder / file).is_file() for file in tokenizer.vocab_files_names.values())
    if not found or getattr(tokenizer, "backend_tokenizer", None) is None:
        raise InputError(
            f"the checkpoint {name!r} has no tokenizer with a fast form; "
            "use a checkpoint that has a tokenizer.json"
        )
    return tokenizer.backend_tokenizer
