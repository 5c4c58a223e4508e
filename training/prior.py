"""p(z): the standard normal, whose KL is analytic, and a learned mixture, whose KL is a mean over draws."""

import math

import torch
from torch import Tensor, nn

from training.posterior import Posterior
from training.sums import log_sum_exp, total


class StandardPrior(nn.Module):
    """p(z) = N(0, I)."""

    mean: Tensor
    scale: Tensor

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latents))
        self.register_buffer("scale", torch.ones(latents))

    def kl(self, posterior: Posterior, z: Tensor, noise: Tensor) -> Tensor:
        """KL(q(z|x) ‖ p(z)), the same for every draw z [n, K, L]: [n, K]."""
        return posterior.kl_to_standard()[:, None].expand(z.shape[:-1])

    def log_prob(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, [..., n]."""
        return total(-0.5 * (z.square() + math.log(2 * math.pi)))

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and scale [L]."""
        return self.mean, self.scale

    def sampler(self) -> "PriorSampler":
        """What turns standard normal noise into latents: one component, N(0, I)."""
        return PriorSampler(self.mean[None, :], self.scale[None, :], torch.ones(1))


class MixturePrior(nn.Module):
    """p(z) = Σ w_c N(m_c, diag s_c²), learned with the rest (Dilokthanakul et al. 2016; Tomczak & Welling 2018)."""

    def __init__(self, components: int, latents: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.zeros(components, latents))
        self.log_scales = nn.Parameter(torch.full((components, latents), -0.3))
        self.logits = nn.Parameter(torch.zeros(components))

    def start_at(self, z: Tensor) -> None:
        """Put a component on each of the latents z [C, L]."""
        with torch.no_grad():
            self.means.copy_(z)

    def log_prob(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, [..., n]; the square is expanded so that no [..., n, C, L] array is ever made."""
        precision = (-2 * self.log_scales).exp()
        mahalanobis = (
            z.square() @ precision.mT
            - 2 * z @ (self.means * precision).mT
            + (self.means.square() * precision).sum(dim=-1)
        )
        log_volume = self.log_scales.sum(dim=-1) + 0.5 * z.shape[-1] * math.log(2 * math.pi)
        return log_sum_exp(self.logits.log_softmax(dim=0) - log_volume - 0.5 * mahalanobis)

    def kl(self, posterior: Posterior, z: Tensor, noise: Tensor) -> Tensor:
        """ln q(z|x) − ln p(z) at each draw z [n, K, L] made by `noise`; the mean over draws is the KL, or below 0."""
        return posterior.log_prob(noise) - self.log_prob(z)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and scale [L] of the whole mixture."""
        weights = self.logits.softmax(dim=0)
        mean = weights @ self.means
        variance = weights @ ((2 * self.log_scales).exp() + (self.means - mean).square())
        return mean, variance.sqrt()

    def sampler(self) -> "PriorSampler":
        """What turns standard normal noise into latents."""
        return PriorSampler(self.means, self.log_scales.exp(), self.logits.softmax(dim=0))


class PriorSampler(nn.Module):
    """Standard normal noise [n, 1 + L] → z [n, L]: the first column picks the component by its normal quantile."""

    means: Tensor
    scales: Tensor
    edges: Tensor

    def __init__(self, means: Tensor, scales: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.noise_size = 1 + means.shape[1]
        self.register_buffer("means", means.detach().clone())
        self.register_buffer("scales", scales.detach().clone())
        cumulative = weights.detach().double().cumsum(dim=0)[:-1].clamp(0, 1)
        self.register_buffer("edges", torch.special.ndtri(cumulative))

    def forward(self, noise: Tensor) -> Tensor:
        component = (noise[:, :1] > self.edges).long().sum(dim=-1)
        return self.means[component] + self.scales[component] * noise[:, 1:]
