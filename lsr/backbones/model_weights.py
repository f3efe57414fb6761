"""A checkpoint's weights as a torch module, with what transformers raises explained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.packed_weights import has_packed, unpacked
from lsr.backbones.tensor_files import is_packed
from lsr.backbones.torch_runtime import first_line, transformers
from lsr.errors import InputError

CLASSIFIER = "AutoModelForSequenceClassification"


def longest_input(model: Any, wanted: int) -> int:
    """``wanted`` tokens, or as many as a model has positions for.

    Positions of the RoBERTa family begin after the padding index.
    """
    limit = getattr(model.config, "max_position_embeddings", None) or wanted
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None):
            limit -= module.padding_idx + 1
    return min(wanted, limit)


def load_model(
    checkpoint: Checkpoint,
    auto_class: str,
    own_code: bool = False,
    dtype: str = "float32",
    new_head: bool = False,
) -> Any:
    """A checkpoint as a module in inference mode, on the GPU where there is one.

    Args:
        checkpoint: where the configuration and the safetensors weights are.
        auto_class: name of a transformers class such as ``AutoModelForMaskedLM``.
        own_code: whether Python code of the checkpoint's own may run, where it is trusted.
        dtype: ``float32``, ``bfloat16`` or ``float16``; ``auto`` is bfloat16 on a GPU, else
            float32.
        new_head: whether a head is made anew, from torch's random numbers, where the checkpoint has
            another or none: training begins so. That of a classifier has one output.

    Raises:
        InputError: transformers can't load it as that class, or it lacks weights of that class.
        UsageError: it needs code of its own, which is not trusted.
    """

    checkpoint.check_code(own_code)
    # What transformers has itself never runs in a folder's code.
    code = checkpoint.code is not None

    head = {}
    if new_head and auto_class == CLASSIFIER:
        head = {"num_labels": 1, "ignore_mismatched_sizes": True}

    def load(loader: Any, settings: dict[str, Any]) -> Any:
        # transformers knows nothing of packed weights.
        if is_packed(checkpoint.weights):
            return _from_tensors(checkpoint, loader, settings)
        return loader.from_pretrained(checkpoint.folder, trust_remote_code=code, **settings, **head)

    return _load(checkpoint, auto_class, dtype, load, new_head)


def load_wrapped_model(checkpoint: Checkpoint, auto_class: str) -> Any:
    """As ``load_model``, for a model that another module wraps.

    Term-weighting models keep their language model under a name of their own, such as
    ``coil_encoder.bert.``, beside their head. The place of its input embeddings tells which.

    Raises:
        InputError: as for ``load_model``.
    """
    checkpoint.check_code()
    return _load(checkpoint, auto_class, "float32", partial(_from_tensors, checkpoint))


def _from_tensors(checkpoint: Checkpoint, loader: Any, settings: dict[str, Any]) -> Any:
    """A model of the checkpoint's tensors, under whatever prefix they are."""
    import torch

    reader = transformers().AutoConfig
    config = reader.from_pretrained(checkpoint.folder, trust_remote_code=False)
    with torch.device("meta"):
        skeleton = loader.from_config(config, trust_remote_code=False)
    embeddings = skeleton.get_input_embeddings()
    (mark,) = (f"{n}.weight" for n, m in skeleton.named_modules() if m is embeddings)
    tensors = read_tensors(checkpoint)
    prefixes = [name.removesuffix(mark) for name in tensors if name.endswith(mark)]
    if not prefixes:
        raise ValueError(f"no tensor is named {mark}, with or without a prefix")
    prefix = min(prefixes, key=len)
    state = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    return type(skeleton).from_pretrained(None, config=config, state_dict=state, **settings)


def read_tensors(checkpoint: Checkpoint) -> dict[str, Any]:
    """Name and torch tensor of everything in the checkpoint's weights; what is packed is unpacked.

    Raises:
        InputError: a file is damaged.
    """
    transformers()
    import torch
    from safetensors.torch import load_file

    tensors: dict[str, Any] = {}
    for path in checkpoint.weights:
        try:
            read = load_file(path)
            if has_packed(read):
                arrays = unpacked({name: tensor.numpy() for name, tensor in read.items()})
                read = {name: torch.from_numpy(array) for name, array in arrays.items()}
            tensors |= read
        except Exception as error:  # what safetensors raises has no common base
            raise InputError(f"{path} is no safetensors file ({first_line(error)})") from error
    return tensors


def _load(
    checkpoint: Checkpoint,
    auto_class: str,
    dtype: str,
    load: Callable[[Any, dict[str, Any]], Any],
    new_head: bool = False,
) -> Any:
    loader = getattr(transformers(), auto_class)
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" else "float32"
    settings = {
        "dtype": getattr(torch, dtype),
        "use_safetensors": True,
        "output_loading_info": True,
    }
    try:
        model, info = load(loader, settings)
    except InputError:
        raise
    except Exception as error:  # what transformers and safetensors raise has no common base
        raise InputError(
            f"the checkpoint {checkpoint.name!r} can't be loaded as {auto_class} "
            f"({first_line(error)})"
        ) from error
    # transformers fills what is missing with random numbers; only a classifier uses the pooler.
    pooled = auto_class == CLASSIFIER and not new_head
    body = f"{model.base_model_prefix}." if new_head else ""
    needed = [key for key in info["missing_keys"] if key.startswith(body)]
    if missing := sorted(key for key in needed if pooled or "pooler" not in key):
        raise InputError(
            f"the checkpoint {checkpoint.name!r} lacks {len(missing)} weights of an {auto_class}, "
            f"such as {missing[0]}; give a checkpoint that was trained as one"
        )
    return model.eval().to(device)
