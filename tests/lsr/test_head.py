"""The tiled projection against the full tensor of logits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.head import max_over_positions

masks = st.integers(0, 5).flatmap(
    lambda rest: st.lists(st.lists(st.booleans(), min_size=rest, max_size=rest), min_size=1)
)


def full_maximum(hidden, mask, weight, bias):
    logits = hidden @ weight.T + (0 if bias is None else bias)
    return torch.stack(
        [
            torch.stack([logits[text, place] for place in range(len(row)) if row[place]]).amax(0)
            for text, row in enumerate(mask)
        ]
    )


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    masks=masks,
    terms=st.integers(1, 20),
    tile=st.integers(1, 30),
    with_bias=st.booleans(),
)
def test_tiles_give_the_maximum_of_the_full_tensor(seed, masks, terms, tile, with_bias):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[True, *row] for row in masks])
    hidden = torch.randn(*mask.shape, 5, generator=generator, dtype=torch.float64)
    weight = torch.randn(terms, 5, generator=generator, dtype=torch.float64)
    bias = torch.randn(terms, generator=generator, dtype=torch.float64) if with_bias else None
    expected = full_maximum(hidden, mask, weight, bias)
    hidden[~mask] = torch.nan
    found = max_over_positions(hidden, mask.to(torch.int64), weight, bias, tile)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("tile", [1, 511, 512, 513, 5000])
def test_tile_size_does_not_change_the_result(tile):
    torch.manual_seed(0)
    hidden, weight, mask = torch.randn(2, 7, 8), torch.randn(1030, 8), torch.ones(2, 7)
    found = max_over_positions(hidden, mask, weight, None, tile)
    torch.testing.assert_close(found, full_maximum(hidden, mask, weight, None))
