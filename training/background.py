"""The linear model that the network started from, kept as it was: the background of rows like nothing trained on.

A network's density is sharp where it was trained and arbitrary elsewhere; probabilistic PCA is blunt and sound
everywhere. A thousandth of the mass is its own, so a row far from the data is ranked as the data's Gaussian ranks it.
"""

import math

import torch
from torch import Tensor, nn

from training.elbo import Elbo
from training.gaussian import Gaussian
from training.sums import total

WEIGHT = 1e-3
QUANTILE_ROWS = 1_000_000
"""What torch can take a quantile of at once, and more than enough."""


class Background(nn.Module):
    """x = m + W z + noise of one variance, z ~ N(0, I), with its exact posterior, all in closed form."""

    loading: Tensor
    mean: Tensor
    variance: Tensor
    reach: Tensor
    """What all but a thousandth of the training rows cost at most, in nats of standardised x."""

    def __init__(self, sensors: int, latents: int) -> None:
        super().__init__()
        self.register_buffer("loading", torch.zeros(latents, sensors, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(sensors, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(1, dtype=torch.float64))
        self.register_buffer("reach", torch.zeros(1, dtype=torch.float64))

    def plant(self, loading: Tensor, mean: Tensor, variance: Tensor, rows: Tensor, observed: Tensor) -> None:
        """Set it to W [L, D] with orthogonal rows, m [D] and the noise's variance, its reach by the training rows."""
        self.loading.copy_(loading)
        self.mean.copy_(mean)
        self.variance.copy_(variance)
        self.reach.copy_(torch.quantile(self.elbo(rows, observed).negative[:QUANTILE_ROWS], 1 - WEIGHT))

    def posterior(self, x: Tensor) -> Gaussian:
        """q(z|x) of rows x [n, D], 0 where missing: exact for complete rows, a bound for others."""
        gram = self.loading.square().sum(dim=-1) + self.variance  # W Wᵀ + σ² is diagonal
        variance = self.variance / gram
        mean = (x - self.mean.to(x.dtype)) @ (self.loading / gram[:, None]).mT.to(x.dtype)
        return Gaussian(mean, variance.to(x.dtype).expand_as(mean), variance.log().to(x.dtype).expand_as(mean))

    def elbo(self, x: Tensor, observed: Tensor) -> Elbo:
        """The negative ELBO's parts in closed form, per_sensor [n, D] and kl [n]: no draws are needed."""
        posterior = self.posterior(x)
        decoded = self.predict(x)
        noise = self.variance.to(x.dtype)
        # E_q (x − m − W z)² = (x − E x)² + Var x − σ²
        squares = (x - decoded.mean).square() + decoded.variance - noise
        per_sensor = observed * 0.5 * (squares / noise + noise.log() + math.log(2 * math.pi))
        return Elbo(per_sensor, total(posterior.kl_to_standard()))

    def predict(self, x: Tensor) -> Gaussian:
        """Predictive moments of every sensor under the posterior, [n, D]."""
        posterior = self.posterior(x)
        loading = self.loading.to(x.dtype)
        mean = self.mean.to(x.dtype) + posterior.mean @ loading
        variance = posterior.variance @ loading.square() + self.variance.to(x.dtype)
        return Gaussian(mean, variance, variance.log())

    def sample(self, latent_noise: Tensor, noise: Tensor) -> Tensor:
        """Rows [n, D] from standard normal noise [n, L] and [n, D]."""
        return self.mean + latent_noise @ self.loading + self.variance.sqrt() * noise
