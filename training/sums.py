"""Sums as matrix products: onnxruntime keeps a row's bits in these whatever the batch, not in a float64 ReduceSum."""

import torch
from torch import Tensor

from training.gaussian import exp, log

NEGLIGIBLE = -60.0
"""ln of a share that is as good as none."""


def total(x: Tensor) -> Tensor:
    """The sum over the last axis: [..., N] → [...]."""
    return column(x).squeeze(-1)


def column(x: Tensor) -> Tensor:
    """The sum over the last axis, which stays: [..., N] → [..., 1]."""
    return x @ torch.ones(x.shape[-1], 1, dtype=x.dtype)


def mean_over_draws(x: Tensor) -> Tensor:
    """The mean over K: [n, K, A] → [n, A]."""
    draws = x.shape[1]
    return (torch.full((1, draws), 1 / draws, dtype=x.dtype) @ x).squeeze(1)


def log_sum_exp(x: Tensor) -> Tensor:
    """ln Σ exp over the last axis: [..., N] → [...].

    The exponentials are float32, which is faster: of values from 0 to 1 whose sum is at least 1, they leave the
    logarithm exact to 1e-6 nats. What is too small to count is kept off denormal numbers, which are slow.
    """
    largest = x.amax(dim=-1, keepdim=True)
    exponentials = (x - largest).clamp(min=NEGLIGIBLE).float().exp()
    return (log(column(exponentials).to(x.dtype)) + largest).squeeze(-1)


def log_add_exp(first: Tensor, second: Tensor) -> Tensor:
    """ln(e^first + e^second), elementwise, [n, K]."""
    largest = torch.maximum(first, second)
    return largest + log(exp(first - largest) + exp(second - largest))
