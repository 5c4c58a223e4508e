"""A diagonal normal distribution, and elementwise functions whose bits do not depend on a row's place in the batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

VECTOR = 4
"""onnxruntime's exp and log take at most this many values at a time, and the rest of an array one by one."""


@dataclass(frozen=True)
class Gaussian:
    """N(mean, diag variance), all [..., N]; with the log variance, since each caller has one of the two first."""

    mean: Tensor
    variance: Tensor
    log_variance: Tensor

    @property
    def squared_scale(self) -> Tensor:
        """The variance."""
        return self.variance

    def sample(self, noise: Tensor) -> Tensor:
        """Draws [..., N] from standard normal noise [..., N]."""
        return self.mean + self.variance.sqrt() * noise

    def log_prob(self, x: Tensor) -> Tensor:
        """ln N(x; mean, variance) in nats, one value a dimension."""
        return -0.5 * ((x - self.mean).square() / self.variance + self.log_variance + math.log(2 * math.pi))

    def kl_to_standard(self) -> Tensor:
        """KL(self ‖ N(0, 1)) = ½ (m² + s² − 1 − ln s²), one value a dimension (Kingma & Welling 2014, appendix B)."""
        return 0.5 * (self.mean.square() + self.variance - 1 - self.log_variance)

    def at_zero(self) -> "Gaussian":
        """The same spread around 0."""
        return Gaussian(torch.zeros_like(self.variance), self.variance, self.log_variance)

    def for_draws(self) -> "Gaussian":
        """The same with an axis for the draws: [n, N] → [n, 1, N]."""
        return Gaussian(self.mean[:, None, :], self.variance[:, None, :], self.log_variance[:, None, :])


def exp(x: Tensor) -> Tensor:
    """Elementwise exp, the same bits wherever a row stands."""
    return _steadily(torch.exp, x)


def log(x: Tensor) -> Tensor:
    """Elementwise ln, the same bits wherever a row stands."""
    return _steadily(torch.log, x)


def symlog(x: Tensor) -> Tensor:
    """sign(x)·ln(1 + |x|): the identity near 0, logarithmic far out (Hafner et al. 2023)."""
    return x.sign() * log(1 + x.abs())


def _steadily(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Rows [n, N] in VECTOR copies, so that none is in the remainder, unless N is a multiple, as K draws are."""
    if x.dim() != 2 or x.shape[1] % VECTOR == 0:
        return function(x)
    return function(x[:, None, :].expand(-1, VECTOR, -1))[:, 0, :]
