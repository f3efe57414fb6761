"""Gradients of plain Python functions, to compare autograd with."""

import torch


def central_differences(function, values, step=1e-6):
    """Gradient of ``function(tensor float64) -> float`` at ``values``, entry by entry."""
    gradient = torch.zeros_like(values)
    flat = gradient.view(-1)
    for place in range(values.numel()):
        ends = []
        for sign in (1, -1):
            moved = values.clone()
            moved.view(-1)[place] += sign * step
            ends.append(float(function(moved)))
        flat[place] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def value_and_gradient(function, values):
    """What ``function(tensor) -> scalar tensor`` gives at ``values``, and autograd's gradient."""
    values = values.clone().requires_grad_()
    result = function(values)
    (gradient,) = torch.autograd.grad(result, values)
    return result.item(), gradient


def assert_like_loop(function, loop, values, rtol=1e-9, gradient_atol=2e-6):
    """``function`` equals the hand-written ``loop``, and its gradient the loop's differences."""
    result, gradient = value_and_gradient(function, values)
    expected = float(loop(values))
    torch.testing.assert_close(torch.tensor(result), torch.tensor(expected), rtol=rtol, atol=1e-12)
    numeric = central_differences(loop, values)
    scale = max(1.0, numeric.abs().max().item()) if numeric.numel() else 1.0
    torch.testing.assert_close(gradient, numeric, rtol=1e-5, atol=gradient_atol * scale)
