"""How a model may be given several texts at once, so that none changes another's states.

In most transformers padding and neighbours leave a text as it is. Convolutions (ConvBERT), Fourier
transforms (FNet) and attention without a mask see the padding, and models that pool their input
see its length. Which kind a model is, it is asked when it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.torch_runtime import first_line
from lsr.backbones.transformer_settings import positions
from lsr.errors import InputError

if TYPE_CHECKING:
    import torch

# Ids and mask, int64 (b, length), to something float (b, length, width).
Run = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
# Any texts, padded; texts of one length, without padding; or one text at a time.
Batching = Literal["padded", "equal", "single"]
# Of the length of what comes out: what rounding moves it by at most, in float32 and in less.
ROUNDING, COARSE_ROUNDING = 2e-5, 2e-2
# Tokens of the texts that are tried, beside special ones; the longer one has at most half of the
# model's positions.
SHORT, LONG = 5, 80


def run_batch(run: Run, ids: torch.Tensor, mask: torch.Tensor, batching: Batching) -> torch.Tensor:
    """What ``run`` makes of a padded batch, float (b, length, width); zeros at the padding.

    At the padding of a model that takes any texts stands what it makes of it.
    """
    if batching == "padded":
        return run(ids, mask)
    lengths = mask.sum(dim=1).tolist()
    rows = [[row] for row in range(len(lengths))]
    if batching == "equal":
        rows = [
            [row for row, length in enumerate(lengths) if length == wanted]
            for wanted in dict.fromkeys(lengths)
        ]
    result: torch.Tensor | None = None
    for group in rows:
        length = lengths[group[0]]
        part = run(ids[group, :length], mask[group, :length])
        if result is None:
            result = part.new_zeros(*ids.shape, part.shape[-1])
        result[group, :length] = part
    assert result is not None
    return result


def find_batching(run: Run, checkpoint: Checkpoint, device: torch.device) -> Batching:
    """The widest way to run a model by which a text's output is what it is alone.

    Raises:
        InputError: the model can't be run on a text, or gives no output for each of its tokens.
    """
    import torch

    short, long = _texts(checkpoint)
    other = np.concatenate([short[:1], np.roll(short[1:-1], 1), short[-1:]])

    def states(*texts: NDArray[np.int64]) -> torch.Tensor:
        ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.from_numpy(text)
            mask[row, : len(text)] = 1
        made = run(ids.to(device), mask.to(device))
        if made.ndim != 3 or made.shape[:2] != ids.shape:
            raise ValueError(f"what comes out is {tuple(made.shape)} of {tuple(ids.shape)} tokens")
        return made[0, : len(texts[0])]

    with torch.inference_mode():
        try:
            alone = states(short)
            steady = all(equal_but_rounding(states(text), states(text)) for text in (short, long))
        except Exception as error:  # what a model raises has no common base
            raise InputError(
                f"the checkpoint {checkpoint.name!r} can't be run on text alone "
                f"({first_line(error)}); give a model that reads text and has a state for each "
                "token"
            ) from error
        if not steady:
            raise InputError(
                f"the checkpoint {checkpoint.name!r} makes other states of a text each time, as "
                "attention by random hashes does; give a model that has no chance in it"
            )
        if _same(alone, states, short, long):
            return "padded"
        return "equal" if _same(alone, states, short, other) else "single"


def _same(
    alone: torch.Tensor,
    states: Callable[..., torch.Tensor],
    *texts: NDArray[np.int64],
) -> bool:
    """Whether the first text's states are those that it has alone, but for rounding."""
    try:
        return equal_but_rounding(alone, states(*texts))
    except Exception:  # a model that takes no batch
        return False


def equal_but_rounding(expected: torch.Tensor, found: torch.Tensor) -> bool:
    """Whether two results of one computation are the same but for rounding.

    Where damaged weights make what is no number, they are: that is found and said elsewhere.
    """
    import torch

    if not expected.isfinite().all():
        return True
    rounding = ROUNDING if expected.dtype == torch.float32 else COARSE_ROUNDING
    difference = (found - expected).float().norm()
    return bool(difference <= rounding * expected.float().norm())


def _texts(checkpoint: Checkpoint) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids of a short text and of a longer one, both with special tokens."""
    vocabulary = checkpoint.vocabulary
    framed = vocabulary.tokenizer.encode("a").ids
    plain = vocabulary.tokenizer.encode("a", add_special_tokens=False).ids
    before = next((at for at, term in enumerate(framed) if plain and term == plain[0]), 1)
    terms = [term for term in range(min(vocabulary.size, 2000)) if term not in vocabulary.special]
    longer = max(SHORT + 1, min(LONG, (positions(checkpoint) or 2 * LONG) // 2))
    drawn = np.random.default_rng(0).choice(terms or [0], longer)
    around = framed[:before], framed[before + len(plain) :]
    short, long = (
        np.array([*around[0], *drawn[:count], *around[1]], dtype=np.int64)
        for count in (SHORT, longer)
    )
    return short, long
