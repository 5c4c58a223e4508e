"""Student's t of a few degrees of freedom in many dimensions: what a row far out costs, and which sensors it is from.

The density of D dimensions at the squared distance δ² is that of a normal with its scale integrated out: ½(ν + D)
ln(1 + δ²/ν) nats stand in the place of ½δ², and a part that depends on D alone is added (Lange, Little & Taylor 1989).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.gaussian import log
from training.sums import total

DEGREES = 4
"""Of freedom, ν: few, yet the variance is finite."""
LEAST_DISTANCE = 1e-12


@dataclass(frozen=True)
class StudentT:
    """Student's t in each dimension by itself, all [..., N]; its scale is what a normal's would be at u = 1."""

    mean: Tensor
    squared_scale: Tensor
    log_squared_scale: Tensor

    @property
    def variance(self) -> Tensor:
        """ν / (ν − 2) of the squared scale."""
        return self.squared_scale * (DEGREES / (DEGREES - 2))

    def log_prob(self, x: Tensor) -> Tensor:
        """ln t_ν(x) in nats, one value a dimension."""
        squares = (x - self.mean).square() / self.squared_scale
        constant = math.lgamma((DEGREES + 1) / 2) - math.lgamma(DEGREES / 2) - 0.5 * math.log(DEGREES * math.pi)
        return constant - 0.5 * ((DEGREES + 1) * log(1 + squares / DEGREES) + self.log_squared_scale)

    def sample(self, noise: Tensor) -> Tensor:
        """Draws [..., N] from standard normal noise [..., N·(1 + ν)]."""
        sensors = self.mean.shape[-1]
        own, heaviness = noise.split([sensors, sensors * DEGREES], dim=-1)
        u = inverse_spread(heaviness.unflatten(-1, (sensors, DEGREES)))
        drawn: Tensor = self.mean + (self.squared_scale / u).sqrt() * own
        return drawn


def nats_a_square(squares: Tensor, count: Tensor) -> Tensor:
    """½(ν + D) ln(1 + δ²/ν) / δ² of δ² and D dimensions, which broadcast."""
    squares = squares.clamp(min=LEAST_DISTANCE)
    return 0.5 * (DEGREES + count) * log(1 + squares / DEGREES) / squares


def inverse_spread(noise: Tensor) -> Tensor:
    """u ~ Gamma(ν/2, ν/2) from standard normal noise [..., ν], [...]: a normal's variance divided by it makes a t."""
    return total(noise.square()) / DEGREES


def offsets(sensors: int) -> Tensor:
    """The part that depends on D alone, for D = 0 … sensors, in nats beyond that of a normal of the same scale."""
    half, dimensions = DEGREES / 2, torch.arange(sensors + 1, dtype=torch.float64) / 2
    return math.lgamma(half) - torch.lgamma(half + dimensions) + dimensions * math.log(half)


def spread(squares: Tensor, count: Tensor) -> Tensor:
    """E[1/u | x]: what the variance of the dimensions that are not seen is multiplied by, given δ² of D that are."""
    return (DEGREES + squares) / (DEGREES + count - 2)
