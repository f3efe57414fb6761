"""AdamW, its rates and its gradients, against numbers by hand and torch's own."""

import pytest
import torch

from lsr.train.optimization import adamw, rate_share, update


@pytest.mark.parametrize(
    ("warm_up", "expected"),
    [
        (0.4, [0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        (0.0, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]),
        (1.0, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
    ],
)
def test_the_rate_rises_and_falls(warm_up, expected):
    assert [rate_share(step, 10, warm_up) for step in range(10)] == pytest.approx(expected)


def parameters():
    random = torch.Generator().manual_seed(1)
    shapes = (4, 3), (3,), (5,)
    return [torch.nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes]


@pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e6])
def test_an_update_is_torchs_with_one_norm_for_all_and_decay_for_matrices(max_norm):
    ours, theirs = parameters(), parameters()
    frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = adamw([*ours[:2], frozen], 0.1, 0.2, [ours[2]], 0.7)
    reference = torch.optim.AdamW(
        [
            {"params": [theirs[0]], "lr": 0.1, "weight_decay": 0.2},
            {"params": [theirs[1]], "lr": 0.1, "weight_decay": 0.0},
            {"params": [theirs[2]], "lr": 0.7, "weight_decay": 0.0},
        ]
    )
    random = torch.Generator().manual_seed(2)
    for share in (0.5, 1.0, 0.25):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=random)
            other.grad = mine.grad.clone()
        if max_norm:
            norm = sum(float(one.grad.square().sum()) for one in theirs) ** 0.5
            for one in theirs:
                one.grad *= min(1.0, max_norm / norm)
        for group, rate in zip(reference.param_groups, (0.1, 0.1, 0.7), strict=True):
            group["lr"] = rate * share
        reference.step()
        update(optimizer, share, max_norm)
        assert all(one.grad is None for one in ours)
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
    assert frozen.tolist() == [1, 1]
