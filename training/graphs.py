"""What every exported question shares: the model in float64 with its sensors and its constant draws.

Standardisation, masking, the posterior draws, the density, its Jacobian Σ ln scale and the sensors that never moved are
all in here, so that nothing outside has a formula to get wrong. Shapes: n rows, D sensors, A of them in the density,
L latents, K draws.
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from app.manifest import Sensor
from app.noise import evenly
from training.elbo import Elbo
from training.gaussian import Gaussian, exp
from training.hidden import Hidden
from training.prior import FixedPrior
from training.proposal import Proposal, Proposed
from training.student import StudentT
from training.sums import log_sum_exp, mean_over_draws, total
from training.vae import Beside, Mixed, Vae, beside, costs, draws_for, mix, whitened_draws


@dataclass(frozen=True)
class Asked:
    """Rows in standard units, 0 where a sensor is missing, and whether it is there, 1 or 0."""

    x: Tensor
    """[n, D], as `observed` is."""
    observed: Tensor
    moving: Tensor
    """The sensors in the density alone, [n, A], as `seen` is."""
    seen: Tensor


@dataclass(frozen=True)
class Network:
    """What the network says of rows: its negative ELBO, mean and variance of each latent [n, L] and sensor [n, A]."""

    elbo: Elbo
    latent_mean: Tensor
    latent_variance: Tensor
    mean: Tensor
    variance: Tensor

    def put(self, rows: Tensor, other: "Network") -> "Network":
        """With what `other` says at `rows`."""
        per_sensor = self.elbo.per_sensor.index_put((rows,), other.elbo.per_sensor)
        kl = self.elbo.kl[:, None].index_put((rows,), other.elbo.kl[:, None])  # the exporter warns of a flat array
        return Network(
            Elbo(per_sensor, kl[:, 0]),
            self.latent_mean.index_put((rows,), other.latent_mean),
            self.latent_variance.index_put((rows,), other.latent_variance),
            self.mean.index_put((rows,), other.mean),
            self.variance.index_put((rows,), other.variance),
        )


@dataclass(frozen=True)
class Told:
    """All that the model says of rows, whatever is asked."""

    asked: Asked
    network: Network
    experts: tuple[Beside, ...]
    moments: tuple[Gaussian, ...]
    """What each expert makes of every sensor, [n, A]."""
    mixed: Mixed
    """The network and its experts as one."""


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
    """[K, 1 + L]: a uniform number, for those rows whose latents come from a mixture, and standard normals."""
    prior_mean: Tensor
    prior_scale: Tensor

    def __init__(self, vae: Vae, sensors: tuple[Sensor, ...], draws: int | None = None) -> None:
        """`draws` [K] is even, a multiple of VECTOR and at least 2·L; without it, `draws_for` L."""
        super().__init__()
        self.vae = in_double(vae)
        self.experts = self.vae.experts
        self.latents = vae.shape.latents
        self.draws = draws_for(self.latents) if draws is None else draws
        rests = np.array([sensor.constant for sensor in sensors])
        active, constant = np.flatnonzero(~rests), np.flatnonzero(rests)
        self.register_buffer("mean", torch.tensor([sensor.mean for sensor in sensors], dtype=torch.float64))
        self.register_buffer("scale", torch.tensor([sensor.scale for sensor in sensors], dtype=torch.float64))
        self.register_buffer("active", torch.tensor(active))
        self.register_buffer("constant", torch.tensor(constant))
        self.register_buffer("order", torch.tensor(np.argsort(np.concatenate([active, constant]))))
        normal = whitened_draws(self.draws, self.latents, seed=0)
        self.register_buffer("noise", torch.cat([torch.tensor(evenly(self.draws))[:, None], normal], dim=1))
        prior = self.vae.prior
        assert not isinstance(prior, FixedPrior)
        self.sample_prior = prior.sampler()
        self.propose = Proposal(self.vae.decode, self.vae.places or prior.mixture())
        prior_mean, prior_scale = prior.moments()
        self.register_buffer("prior_mean", prior_mean.detach().clone())
        self.register_buffer("prior_scale", prior_scale.detach().clone())
        self.vae.prior = prior.fixed()

    def standardised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [n, D] with NaN where missing → (standardised with 0 there, observed as 1 and 0), both [n, D]."""
        missing = torch.isnan(x)
        return torch.where(missing, 0.0, (x - self.mean) / self.scale), (~missing).to(x.dtype)

    def asked(self, x: Tensor) -> Asked:
        """Rows x [n, D] as the model takes them."""
        standardised, observed = self.standardised(x)
        return Asked(standardised, observed, self.moving(standardised), self.moving(observed))

    def told(self, x: Tensor) -> Told:
        """What the model says of rows x [n, D] in the sensors' units, NaN where missing."""
        asked = self.asked(x)
        rows = asked.moving, asked.seen
        network, experts = self.network(*rows), beside(self.experts, *rows)
        moments = tuple(expert.predict(*rows) for expert in self.experts)
        return Told(asked, network, experts, moments, mix(network.elbo, experts))

    def network(self, x: Tensor, observed: Tensor) -> Network:
        """What the network says of rows x [n, A]; it is asked twice about those with sensors missing."""
        posterior, noise = self.vae.encode(x, observed), self.noise[:, 1:]
        z = posterior.draw(noise)
        decoded: Gaussian | StudentT = self.vae.decode(z)
        per_sensor, kl = costs(decoded, x, observed), self.vae.prior.kl(posterior, z, noise)
        mean = mean_over_draws(decoded.mean)
        variance = mean_over_draws(decoded.variance + (decoded.mean - mean[:, None, :]).square())
        parts = Elbo(mean_over_draws(per_sensor), mean_over_draws(kl[:, :, None])[:, 0])
        rows = holed(observed)
        complete = Network(parts, posterior.mean, posterior.variance, mean, variance)
        return complete.put(rows, self._weighted(x[rows], observed[rows]))

    def _weighted(self, x: Tensor, observed: Tensor) -> Network:
        """The same of rows with sensors missing, by importance weights of draws from the proposal.

        −ln of the mean weight is the negative ELBO of what the weights make of the proposal (Cremer, Morris & Duvenaud
        2017), under which each sensor's part is a weighted mean.
        """
        proposed = self.proposed(x, observed)
        z = proposed.draw(self.noise)
        decoded: Gaussian | StudentT = self.vae.decode(z)
        per_sensor = costs(decoded, x, observed)
        log_weight = self.vae.prior.log_prob(z) - proposed.log_prob(z) - total(per_sensor)
        log_sum = log_sum_exp(log_weight)[:, None]
        shares = exp(log_weight - log_sum)[:, None, :]
        mean = shares @ decoded.mean
        variance = (shares @ (decoded.variance + (decoded.mean - mean).square()))[:, 0, :]
        sensors = (shares @ per_sensor)[:, 0, :]
        kl = math.log(self.draws) - log_sum[:, 0] - total(sensors)
        return Network(Elbo(sensors, kl), *proposed.moments(), mean[:, 0, :], variance)

    def proposed(self, x: Tensor, observed: Tensor) -> Proposed:
        """r(z|seen) of rows x [n, A]."""
        proposed: Proposed = self.propose(self.vae.encode.bounded(x, observed), observed)
        return proposed

    def moving(self, x: Tensor) -> Tensor:
        """The columns in the density, [n, A]."""
        return x.index_select(1, self.active) if len(self.constant) else x

    def resting(self, x: Tensor) -> Tensor:
        """The columns that never moved, [n, D - A]."""
        return x.index_select(1, self.constant)

    def in_order(self, active: Tensor, constant: Tensor) -> Tensor:
        """Columns of the two kinds of sensors back in the sensors' order, [..., D]."""
        return torch.cat([active, constant], dim=-1).index_select(-1, self.order) if len(self.constant) else active


def holed(observed: Tensor) -> Tensor:
    """The numbers of the rows of `observed` [n, A] that miss a sensor."""
    return torch.nonzero(observed.amin(dim=-1) == 0).squeeze(-1)
