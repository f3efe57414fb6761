"""The models that ship inside this package.

``python -m lsr.encoders.packaged NAME FOLDER`` makes the one of that name of an exported encoder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.bert import WORDS, BertLanguageModel
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.exported_folder import appearing, copy_files
from lsr.backbones.packed_weights import packed
from lsr.backbones.tensor_files import read_arrays
from lsr.encoders.dense_terms import FOLDER, MODEL, TABLE
from lsr.errors import InputError, NotFoundError

# The models that ship with this package; a name has a version, which changes with its weights.
WITHOUT_DENSE_TERMS, DEFAULT_ENCODER = PACKAGED = "lsr-tiny-v1", "lsr-tiny-v2"
MODELS = Path(__file__).parent.parent / "models"
CARD = "README.md"
KEPT = ("*.json", "*.safetensors", "*.md", "LICENSE*")
LARGEST = 28 << 20
# Of dense terms: the table of vectors, and the embeddings of their model.
WITH_A_ROW_A_TERM = {"vectors", WORDS, f"bert.{WORDS}"}


def packaged_checkpoint(name: str) -> Checkpoint:
    """The checkpoint of that name inside this package.

    Raises:
        NotFoundError: this installation lacks its files.
    """
    folder = MODELS / name
    if not (folder / "config.json").is_file():
        raise NotFoundError(
            f"the model {name!r} should have come with this package, but its files are missing; "
            "install lsr again, or give another encoder, such as bm25"
        )
    return Checkpoint(name, folder)


def package_model(source: Path, folder: Path) -> int:
    """Copy an exported encoder into ``folder``, its language model's weights as float16.

    Of dense terms, what has a row for each term is packed to 4 bits, and other matrices of the
    model to 8 (``lsr.backbones.packed_weights``). The folder appears whole or not at all, in
    place of an earlier one. config.json asks readers to compute in float32.

    Returns:
        Its size in bytes.

    Raises:
        UsageError: the folder holds something other than an encoder.
        InputError: the source has no model card, is no BERT masked language model, has weights
            that float16 can't hold, or is larger than 28 MiB when packed.
    """
    if not (source / CARD).is_file():
        raise InputError(f"{source} has no {CARD}; a packaged model needs its model card")
    folder.parent.mkdir(exist_ok=True)
    with appearing(folder, CARD) as new:
        copy_files(source, new, KEPT)
        checkpoint = Checkpoint.resolve(str(new))
        _halve(checkpoint)
        if (new / FOLDER).is_dir():
            _pack_dense_terms(new / FOLDER)
        if BertLanguageModel.of(checkpoint) is None:
            raise InputError(
                f"{source} is no BERT masked language model whose weights float16 can hold; "
                "package one that was exported by lsr train"
            )
        size = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
        if size > LARGEST:
            raise InputError(
                f"{source} takes {size:,} bytes when packed; allowed are {LARGEST:,}, so package a "
                "smaller model"
            )
    return size


def _halve(checkpoint: Checkpoint) -> None:
    """Rewrite a checkpoint's weights as float16; what is too large for it becomes infinite."""
    from safetensors.numpy import load_file, save

    for path in checkpoint.weights:
        with np.errstate(over="ignore"):
            halves = {
                name: array.astype(np.float16) if array.dtype.kind == "f" else array
                for name, array in load_file(path).items()
            }
        path.write_bytes(save(halves, metadata={"format": "pt"}))
    config = checkpoint.json("config.json")
    config.pop("torch_dtype", None)
    text = json.dumps(config | {"dtype": "float32"}, indent=2) + "\n"
    (checkpoint.folder / "config.json").write_text(text, encoding="utf-8")


def _pack_dense_terms(folder: Path) -> None:
    """Rewrite the table of dense terms and the weights of their model, packed.

    Raises:
        InputError: they can't be packed.
    """
    from safetensors.numpy import save

    for path in (folder / TABLE, *Checkpoint.resolve(str(folder / MODEL)).weights):
        arrays: dict[str, NDArray[Any]] = {}
        for name, array in read_arrays(path).items():
            if array.ndim == 2 and array.dtype.kind == "f":
                form = "packed4" if name in WITH_A_ROW_A_TERM else "packed8"
                try:
                    arrays |= packed(name, array.astype(np.float32), form)
                except ValueError as error:
                    raise InputError(f"{path} can't be packed ({error})") from error
            else:
                arrays[name] = array
        path.write_bytes(save(arrays, metadata={"format": "pt"}))


if __name__ == "__main__":
    made = MODELS / sys.argv[1]
    print(f"{made}: {package_model(Path(sys.argv[2]), made):,} bytes")
