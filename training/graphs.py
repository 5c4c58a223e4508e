"""What every exported question shares: the model in float64 with its sensors and its constant draws.

Standardisation, masking, the posterior draws, the density, its Jacobian Σ ln scale and the sensors that never moved are
all in here, so that nothing outside has a formula to get wrong. Shapes: n rows, D sensors, A of them in the density,
L latents.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from app.manifest import Sensor
from training.hidden import Hidden
from training.prior import FixedPrior
from training.vae import Mixed, Vae, draws_for, mix, network, whitened_draws


def in_double(vae: Vae) -> Vae:
    """A copy whose linear parts and density are float64; the hidden layers stay float32."""
    wide = copy.deepcopy(vae).requires_grad_(False).double()
    for module in wide.modules():
        if isinstance(module, Hidden):
            module.float()
    return wide


class Graphs(nn.Module):
    """The model with its sensors and its constant draws: what every question shares."""

    mean: Tensor
    scale: Tensor
    active: Tensor
    constant: Tensor
    order: Tensor
    """Takes (active…, constant…) columns back to the sensors' order."""
    noise: Tensor
    prior_mean: Tensor
    prior_scale: Tensor

    def __init__(self, vae: Vae, sensors: tuple[Sensor, ...]) -> None:
        super().__init__()
        self.vae = in_double(vae)
        self.experts = self.vae.experts
        self.latents = vae.shape.latents
        self.draws = draws_for(self.latents)
        rests = np.array([sensor.constant for sensor in sensors])
        active, constant = np.flatnonzero(~rests), np.flatnonzero(rests)
        self.register_buffer("mean", torch.tensor([sensor.mean for sensor in sensors], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor([sensor.scale for sensor in sensors], dtype=torch.float64))
        self.register_buffer("active", torch.tensor(active))
        self.register_buffer("constant", torch.tensor(constant))
        self.register_buffer("order", torch.tensor(np.argsort(np.concatenate([active, constant]))))
        self.register_buffer("noise", whitened_draws(self.draws, self.latents, seed=0))
        prior = self.vae.prior
        assert not isinstance(prior, FixedPrior)
        self.sample_prior = prior.sampler()
        prior_mean, prior_scale = prior.moments()
        self.register_buffer("prior_mean", prior_mean.detach().clone())
        self.register_buffer("prior_scale", prior_scale.detach().clone())
        self.vae.prior = prior.fixed()

    def standardised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, D] with NaN where missing → (standardised with 0 there, observed as 1 and 0), both [n, D]."""
        missing = torch.isnan(x)
        standardised = torch.where(missing, torch.zeros_like(x), (x - self.mean) / self.scale)
        return standardised, torch.where(missing, torch.zeros_like(x), torch.ones_like(x))

    def mixed(self, x: Tensor, observed: Tensor) -> Mixed:
        """The negative ELBO of the network and its experts as one."""
        parts = network(self.vae, self.vae.encode(x, observed), x, observed, self.noise)
        return mix(parts, self.experts, x, observed)

    def moving(self, x: Tensor) -> Tensor:
        """The columns in the density, [n, A]."""
        return x.index_select(1, self.active)

    def resting(self, x: Tensor) -> Tensor:
        """The columns that never moved, [n, D - A]."""
        return x.index_select(1, self.constant)

    def in_order(self, active: Tensor, constant: Tensor) -> Tensor:
        """Columns of the two kinds of sensors back in the sensors' order, [..., D]."""
        return torch.cat([active, constant], dim=-1).index_select(-1, self.order) if len(self.constant) else active
