"""More or fewer layers than the base of a training has."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch

from lsr.errors import InputError


def with_layers(model: Any, layers: int) -> None:
    """Give a BERT-like model so many layers, in place.

    A further layer is a copy of the last one whose two branches add nothing, as in Bert2BERT's and
    Net2Net's growth (Chen et al. 2016, "Net2Net"): training begins from nearly the
    function of the base. What its two normalisations do to a state of the base is undone by their
    scale and shift: exactly where states have the mean and deviation that the scale and shift of
    the last normalisation give on average.

    Args:
        model: as transformers loads it.
        layers: 1 or more.

    Raises:
        InputError: it has no list of layers of BERT's kind.
    """
    stack = _stack(model)
    del stack[layers:]
    with torch.no_grad():
        while len(stack) < layers:
            stack.append(_identity(stack[-1]))
    model.config.num_hidden_layers = layers


def keep_layers(model: Any, layers: Sequence[int]) -> None:
    """Leave a BERT-like model these layers alone, counted from 0 and ascending, in place.

    Raises:
        InputError: it has fewer layers, or no list of layers of BERT's kind.
    """
    stack = _stack(model)
    if layers[-1] >= len(stack):
        raise InputError(
            f"layers names {layers[-1]}, and the model has the layers 0 to {len(stack) - 1}; name "
            "some of these"
        )
    kept = [stack[place] for place in layers]
    del stack[:]
    stack.extend(kept)
    model.config.num_hidden_layers = len(stack)


def _stack(model: Any) -> torch.nn.ModuleList:
    stack = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    if not isinstance(stack, torch.nn.ModuleList) or not hasattr(stack[0], "attention"):
        raise InputError(
            f"the base is a {type(model).__name__}, whose layers can't be counted; leave out layers"
        )
    return stack


def _identity(layer: Any) -> Any:
    further = copy.deepcopy(layer)
    last = layer.output.LayerNorm
    mean = last.bias.mean()
    deviation = (last.weight.square().mean() + last.bias.var(correction=0)).sqrt()
    for branch in (further.attention.output, further.output):
        branch.dense.weight.zero_()
        branch.dense.bias.zero_()
        branch.LayerNorm.weight.fill_(float(deviation))
        branch.LayerNorm.bias.fill_(float(mean))
    return further
