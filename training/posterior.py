"""q(z|x): a normal distribution of latents, its draws made from standard normal noise."""

import math
from dataclasses import dataclass

from torch import Tensor

from training.gaussian import exp
from training.sums import total


@dataclass(frozen=True)
class Posterior:
    """N(mean, C Cᵀ) for each of n rows, with the factor C = diag(scale) (I + below)."""

    mean: Tensor
    """[n, L]."""
    log_scale: Tensor
    """[n, L]."""
    below: Tensor | None
    """[n, L, L], zero on the diagonal and above it; None where the latents are independent."""

    def draw(self, noise: Tensor) -> Tensor:
        """Latents z [n, K, L] from standard normal noise [K, L] or [n, K, L]."""
        tied = noise if self.below is None else noise + noise @ self.below.mT
        return self.mean[:, None, :] + exp(self.log_scale)[:, None, :] * tied

    def log_prob(self, noise: Tensor) -> Tensor:
        """ln q of the draws that `noise` makes, [n, K], in nats."""
        return -0.5 * total(noise.square() + math.log(2 * math.pi)) - total(self.log_scale)[:, None]

    @property
    def variance(self) -> Tensor:
        """Of each latent by itself, [n, L]."""
        own = exp(2 * self.log_scale)
        return own if self.below is None else own * (1 + total(self.below.square()))

    def kl_to_standard(self) -> Tensor:
        """KL(q ‖ N(0, I)) = ½ Σ (m² + s² − 1) − Σ ln scale in nats, [n] (Kingma & Welling 2014, appendix B)."""
        return 0.5 * total(self.mean.square() + self.variance - 1) - total(self.log_scale)
