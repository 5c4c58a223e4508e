"""The four questions as modules with float64 at their boundary: what is exported, and what it is compared with.

Standardisation, masking, the posterior draws, the density, its Jacobian Σ ln scale and the sensors that never moved are
all in here, so that nothing outside has a formula to get wrong. Shapes: n rows, D sensors, A of them in the density,
L latents.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn

from app.bundle import Sensor
from training.background import WEIGHT
from training.elbo import Elbo, Shared, share
from training.gaussian import Gaussian
from training.sums import mean_over_draws, total
from training.vae import Hidden, Vae, draws_for, elbo, whitened_draws

CONSTANT_NATS = 0.5
"""A sensor that never moved costs ½ ((x − value) / scale)² nats: nothing at rest, and no density is bought by it."""


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
        prior_mean, prior_scale = self.vae.prior.moments()
        self.register_buffer("prior_mean", prior_mean.detach().clone())
        self.register_buffer("prior_scale", prior_scale.detach().clone())

    def standardised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, D] with NaN where missing → (standardised with 0 there, observed as 1 and 0), both [n, D]."""
        missing = torch.isnan(x)
        standardised = torch.where(missing, torch.zeros_like(x), (x - self.mean) / self.scale)
        return standardised, torch.where(missing, torch.zeros_like(x), torch.ones_like(x))

    def network(self, x: Tensor, observed: Tensor) -> Elbo:
        """The network's negative ELBO of standardised rows [n, A], the mean over its constant draws."""
        posterior: Gaussian = self.vae.encode(x, observed)
        per_draw = elbo(self.vae, posterior.for_draws(), x[:, None, :], observed[:, None, :], self.noise)
        return Elbo(mean_over_draws(per_draw.per_sensor), mean_over_draws(per_draw.kl[:, :, None])[:, 0])

    def shared(self, x: Tensor, observed: Tensor) -> Shared:
        """The network's and the background's negative ELBO as one."""
        assert self.vae.background is not None
        background = self.vae.background
        return share(self.network(x, observed), background.elbo(x, observed), WEIGHT, background.reach)

    def moving(self, x: Tensor) -> Tensor:
        """The columns in the density, [n, A]."""
        return x.index_select(1, self.active)

    def resting(self, x: Tensor) -> Tensor:
        """The columns that never moved, [n, D - A]."""
        return x.index_select(1, self.constant)

    def in_order(self, active: Tensor, constant: Tensor) -> Tensor:
        """Columns of the two kinds of sensors back in the sensors' order, [n, D]."""
        return torch.cat([active, constant], dim=-1).index_select(1, self.order) if len(self.constant) else active


class Encode(nn.Module):
    """x [n, D] → mean, scale [n, L] of q(z|x), normalised to mean 0 and variance 1 under the prior."""

    def __init__(self, graphs: Graphs) -> None:
        super().__init__()
        self.graphs = graphs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        g = self.graphs
        standardised, observed = g.standardised(x)
        posterior: Gaussian = g.vae.encode(g.moving(standardised), g.moving(observed))
        return (posterior.mean - g.prior_mean) / g.prior_scale, posterior.scale / g.prior_scale


class Reconstruct(nn.Module):
    """x [n, D] → mean, scale [n, D]: moments of the decoder over the posterior draws, in the sensors' units."""

    def __init__(self, graphs: Graphs) -> None:
        super().__init__()
        self.graphs = graphs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        g = self.graphs
        standardised, observed = g.standardised(x)
        active, seen = g.moving(standardised), g.moving(observed)
        posterior: Gaussian = g.vae.encode(active, seen)
        decoded: Gaussian = g.vae.decode(posterior.mean[:, None, :] + posterior.scale[:, None, :] * g.noise)
        mean = mean_over_draws(decoded.mean)
        variance = mean_over_draws(decoded.variance + (decoded.mean - mean[:, None, :]).square())
        if g.vae.background is not None:
            other, share = g.vae.background.predict(active), g.shared(active, seen).share
            between = share * (1 - share) * (mean - other.mean).square()
            variance = (1 - share) * variance + share * other.variance + between
            mean = mean + share * (other.mean - mean)
        at_rest = torch.zeros_like(g.resting(standardised))
        return (
            g.mean + g.scale * g.in_order(mean, at_rest),
            g.scale * g.in_order(variance.sqrt(), at_rest + 1),
        )


class Sample(nn.Module):
    """Standard normal noise [n, M] → x [n, D] drawn from p(x): the prior, the decoder and its noise are all inside."""

    edge: Tensor

    def __init__(self, graphs: Graphs) -> None:
        super().__init__()
        self.graphs = graphs
        self.sample_prior = graphs.vae.prior.sampler()
        self.latent_noise = self.sample_prior.noise_size
        self.noise_size = 1 + self.latent_noise + len(graphs.active)
        self.register_buffer("edge", torch.special.ndtri(torch.tensor([1 - WEIGHT], dtype=torch.float64)))

    def forward(self, noise: Tensor) -> Tensor:
        g = self.graphs
        which, latent, own = noise.split([1, self.latent_noise, len(g.active)], dim=-1)
        decoded: Gaussian = g.vae.decode(self.sample_prior(latent))
        active = decoded.mean + decoded.scale * own
        if g.vae.background is not None:
            active = torch.where(which > self.edge, g.vae.background.sample(latent[:, -g.latents :], own), active)
        at_rest = torch.zeros_like(noise[:, :1]).expand(-1, len(g.constant))
        return g.mean + g.scale * g.in_order(active, at_rest)


class Score(nn.Module):
    """x [n, D] → score [n], kl [n], per_sensor [n, D] in nats of raw x: score = kl + Σ per_sensor."""

    def __init__(self, graphs: Graphs) -> None:
        super().__init__()
        self.graphs = graphs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g = self.graphs
        standardised, observed = g.standardised(x)
        active, seen = g.moving(standardised), g.moving(observed)
        parts = g.network(active, seen) if g.vae.background is None else g.shared(active, seen).elbo
        density = parts.per_sensor + seen * g.scale[g.active].log()
        moved = g.resting(observed) * CONSTANT_NATS * g.resting(standardised).square()
        per_sensor = g.in_order(density, moved)
        kl = parts.kl * seen.amax(dim=-1)  # nothing observed, nothing learnt
        return total(per_sensor) + kl, kl, per_sensor
