"""A linear model with heavy tails: the background of rows like nothing trained on.

A network's density is sharp where it was trained and arbitrary elsewhere; probabilistic PCA is blunt and sound
everywhere. With Student's t in the place of the normal a row far out costs it the logarithm of its distance, so that
rows which healthy tables have now and then are its own, and it ranks them as the data's Gaussian does.
"""

import math

import torch
from torch import Tensor, nn

from training.elbo import Elbo
from training.gaussian import Gaussian
from training.student import DEGREES, LEAST_DISTANCE, inverse_spread, nats_a_square, offsets, spread
from training.subspace import Subspace
from training.sums import column, total

MOST_LATENTS = 128
"""Up to one sensor more the covariance is full."""
SCALE_ROUNDS = 50
"""Of the fixed point that sets the scale; ten halve its error a thousand times."""


class Background(nn.Module):
    """x = m + (W z + noise) / √u, z and the noise normal, u ~ Gamma(ν/2, ν/2): Student's t around a linear subspace.

    The noise has one variance. p(z, u|x) is known in closed form (Archambeau, Delannay & Verleysen 2006), so no draws
    are needed and the bound is exact for complete rows.
    """

    loading: Tensor
    mean: Tensor
    variance: Tensor
    log_weight: Tensor
    """ln of its share of the mass, [1]."""
    offset: Tensor

    def __init__(self, sensors: int, weight: float) -> None:
        super().__init__()
        self.latents = latents = min(max(1, sensors - 1), MOST_LATENTS)
        self.register_buffer("loading", torch.zeros(latents, sensors, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(sensors, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(1, dtype=torch.float64))
        self.register_buffer("log_weight", torch.full((1,), math.log(weight), dtype=torch.float64))
        self.register_buffer("offset", offsets(sensors))

    def plant(self, rows: Tensor, observed: Tensor) -> None:
        """Fit it to standardised rows [n, D], 0 where not `observed`."""
        found = Subspace.of(rows, self.latents)
        self.loading.copy_(found.loading.mT)
        self.mean.copy_(found.mean)
        self.variance.copy_(found.variance)
        squares = self._distance(rows, observed, self.posterior(rows)).sum(dim=-1)
        scale = torch.ones(1, dtype=torch.float64)
        for _ in range(SCALE_ROUNDS):  # expectation maximisation of a t distribution's scale (Liu & Rubin 1995)
            weight = (DEGREES + observed.sum(dim=-1)) / (DEGREES + squares / scale)
            scale = (weight * squares).sum() / observed.sum()
        scale = scale.clamp(min=LEAST_DISTANCE)
        self.loading.mul_(scale.sqrt())
        self.variance.mul_(scale)

    def posterior(self, x: Tensor) -> Gaussian:
        """q(z|x) at u = 1 of rows x [n, D], 0 where missing: exact for complete rows, a bound for others.

        Its mean is [n, L]; its variance is the same for all of them, [L].
        """
        gram = self.loading.square().sum(dim=-1) + self.variance  # W Wᵀ + σ² is diagonal
        variance = self.variance / gram
        mean = (x - self.mean.to(x.dtype)) @ (self.loading / gram[:, None]).mT.to(x.dtype)
        return Gaussian(mean, variance.to(x.dtype), variance.log().to(x.dtype))

    def elbo(self, x: Tensor, observed: Tensor) -> Elbo:
        """The negative ELBO's parts in closed form, per_sensor [n, D] and kl [n].

        With u integrated out a squared distance δ² costs ½(ν + D) ln(1 + δ²/ν) nats instead of ½δ². They go to the
        sensors and to the latents in proportion to their parts of δ².
        """
        posterior = self.posterior(x)
        distance = self._distance(x, observed, posterior)
        nats = nats_a_square(column(distance), column(observed))
        at_rest, noise = posterior.variance @ self.loading.square().to(x.dtype), self.variance.to(x.dtype)
        own = 0.5 * observed * (at_rest / noise + noise.log() + math.log(2 * math.pi))
        sensors = x.shape[-1]
        per_sensor = nats * distance[:, :sensors] + own
        kl = total(nats * distance[:, sensors:]) + total(posterior.at_zero().kl_to_standard())
        return Elbo(per_sensor, kl + self._offset(observed))

    def predict(self, x: Tensor, observed: Tensor) -> Gaussian:
        """Predictive moments of every sensor under the posterior, [n, D]."""
        posterior = self.posterior(x)
        loading = self.loading.to(x.dtype)
        squares, count = total(self._distance(x, observed, posterior)), total(observed)
        variance = spread(squares, count)[:, None] * (posterior.variance @ loading.square() + self.variance.to(x.dtype))
        return Gaussian(self.mean.to(x.dtype) + posterior.mean @ loading, variance, variance.log())

    @property
    def noise_size(self) -> int:
        """Columns of noise that a sample takes beside one for each sensor."""
        return DEGREES + self.latents

    def sample(self, noise: Tensor, own: Tensor) -> Tensor:
        """Rows [n, D] from standard normal noise [n, noise_size] and [n, D]."""
        heaviness, latent = noise.split([DEGREES, self.latents], dim=-1)
        u = inverse_spread(heaviness)
        drawn: Tensor = self.mean + (latent @ self.loading + self.variance.sqrt() * own) / u.sqrt()[:, None]
        return drawn

    def _distance(self, x: Tensor, observed: Tensor, posterior: Gaussian) -> Tensor:
        """The parts of the squared Mahalanobis distance, [n, D + L]: of each sensor, then of each latent."""
        residual = observed * (x - self.mean.to(x.dtype) - posterior.mean @ self.loading.to(x.dtype))
        return torch.cat([residual.square() / self.variance.to(x.dtype), posterior.mean.square()], dim=-1)

    def _offset(self, observed: Tensor) -> Tensor:
        return self.offset.to(observed.dtype)[total(observed).round().long()]
