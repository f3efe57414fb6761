"""What folders of trained models have in common: their model and their tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from lsr.errors import InputError
from lsr.vocabulary import Vocabulary

UNBOUNDED = 10**30  # transformers' mark of a tokenizer that truncates nothing


def write_json(path: Path, value: object) -> None:
    """JSON that a person can read."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_modules(folder: Path, modules: Mapping[str, str]) -> None:
    """What sentence-transformers puts together: the type of each module by its folder's name."""
    listed = [
        {"idx": place, "name": str(place), "path": path, "type": kind}
        for place, (path, kind) in enumerate(modules.items())
    ]
    write_json(folder / "modules.json", listed)


def write_transformer(folder: Path, model: Any, vocabulary: Vocabulary, length: int) -> None:
    """A model of transformers and its tokenizer, as sentence-transformers reads them.

    ``length`` tokens of a text count.

    Raises:
        InputError: as ``padding_token``.
    """
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)  # a place on the machine that trained it
    # What readers compute in: transformers takes it from here where it is not told.
    config.pop("torch_dtype", None)
    config["dtype"] = "float32"
    write_json(folder / "config.json", config)
    write_json(
        folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False}
    )
    write_tokenizer(folder, vocabulary, length, padding_token(model, vocabulary))


def add_head(path: Path, layer: str, head: Any) -> None:
    """Put a linear layer of that name beside the weights of a model.

    Raises:
        InputError: its weights are not finite.
    """
    from safetensors.torch import load_file, save_file

    tensors = load_file(path)
    for name, tensor in head.state_dict().items():
        if not tensor.isfinite().all():
            raise InputError(
                f"the weights {layer}.{name} are not all finite; train with a lower learning rate"
            )
        tensors[f"{layer}.{name}"] = tensor.detach().float().cpu().contiguous()
    save_file(tensors, path, metadata={"format": "pt"})


def padding_token(model: Any, vocabulary: Vocabulary) -> str:
    """The token that fills batches up: the model's own, else any special one.

    Raises:
        InputError: the tokenizer has no special token.
    """
    if not vocabulary.special:
        raise InputError(
            "the tokenizer has no special token that could fill batches up; mark its padding "
            "token as special"
        )
    own = model.config.pad_token_id
    return vocabulary.token(own if own in vocabulary.special else min(vocabulary.special))


def write_tokenizer(folder: Path, vocabulary: Vocabulary, length: int, padding: str) -> None:
    """The tokenizer as it is, for a class of transformers that changes nothing about it."""
    tokenizer = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    tokenizer.save(str(folder / "tokenizer.json"))
    around = [term for term in tokenizer.encode("").ids if term in vocabulary.special]
    roles = {"pad_token": padding}
    if around:
        roles |= {
            "cls_token": vocabulary.token(around[0]),
            "sep_token": vocabulary.token(around[-1]),
        }
    for role in ("mask", "unk"):
        spellings = (f"[{role.upper()}]", f"<{role}>")
        known = [token for token in map(vocabulary.token, vocabulary.special) if token in spellings]
        roles |= {f"{role}_token": token for token in known}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": length,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
    }
    write_json(folder / "tokenizer_config.json", settings | roles)
