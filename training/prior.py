"""p(z): the standard normal, whose KL is analytic, and a learned mixture, whose KL is a mean over draws."""

import math

import torch
from torch import Tensor, nn

from training.mixture import Mixture, products
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

    def mixture(self) -> Mixture:
        """Itself, as a mixture of one component."""
        return Mixture(self.mean[None, :], torch.diag_embed(self.scale)[None], torch.zeros_like(self.mean[:1]))

    def fixed(self) -> "StandardPrior":
        """Itself: there is nothing to work out."""
        return self

    def sampler(self) -> "PriorSampler":
        """What turns standard normal noise into latents: one component, N(0, I)."""
        return PriorSampler(self.mean[None, :], torch.diag_embed(self.scale)[None, :, :], torch.ones(1))


class MixturePrior(nn.Module):
    """p(z) = Σ w_c N(m_c, (R_c R_cᵀ)⁻¹), learned with the rest (Dilokthanakul et al. 2016; Tomczak & Welling 2018)."""

    row: Tensor
    column: Tensor

    def __init__(self, components: int, latents: int) -> None:
        super().__init__()
        row, column = torch.tril_indices(latents, latents, offset=-1)
        self.register_buffer("row", row, persistent=False)
        self.register_buffer("column", column, persistent=False)
        self.means = nn.Parameter(torch.zeros(components, latents))
        self.log_diagonals = nn.Parameter(torch.zeros(components, latents))
        self.below = nn.Parameter(torch.zeros(components, len(row)))
        self.logits = nn.Parameter(torch.zeros(components))

    def start_at(self, mixture: Mixture) -> None:
        """Begin as this mixture of as many components."""
        with torch.no_grad():
            self.means.copy_(mixture.means)
            self.log_diagonals.copy_(mixture.roots.diagonal(dim1=1, dim2=2).log())
            self.below.copy_(mixture.roots[:, self.row, self.column])
            self.logits.copy_(mixture.log_weights)

    def mixture(self) -> Mixture:
        """What the parameters say."""
        diagonals = torch.diag_embed(self.log_diagonals.exp())
        roots = diagonals.index_put((torch.arange(len(self.means))[:, None], self.row, self.column), self.below)
        return Mixture(self.means, roots, self.logits.log_softmax(dim=0))

    def log_prob(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, [..., n]."""
        return self.mixture().log_prob(z)

    def kl(self, posterior: Posterior, z: Tensor, noise: Tensor) -> Tensor:
        """ln q(z|x) − ln p(z) at each draw z [n, K, L] made by `noise`; the mean over draws is the KL, or below 0."""
        return posterior.log_prob(noise) - self.log_prob(z)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and scale [L] of the whole mixture."""
        return self.mixture().moments()

    def fixed(self) -> "FixedPrior":
        """The same density, worked out as far as it can be before there is a row."""
        return FixedPrior(*self.mixture().polynomial())

    def sampler(self) -> "PriorSampler":
        """What turns standard normal noise into latents."""
        mixture = self.mixture()
        return PriorSampler(mixture.means, mixture.factors(), mixture.log_weights.exp())


class FixedPrior(nn.Module):
    """A mixture's density from its polynomial: coefficients [T, C] and constant [C]."""

    coefficients: Tensor
    constant: Tensor

    def __init__(self, coefficients: Tensor, constant: Tensor) -> None:
        super().__init__()
        self.register_buffer("coefficients", coefficients.detach().clone())
        self.register_buffer("constant", constant.detach().clone())

    def log_prob(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, [..., n]."""
        return log_sum_exp(products(z) @ self.coefficients + self.constant)

    def kl(self, posterior: Posterior, z: Tensor, noise: Tensor) -> Tensor:
        """As `MixturePrior.kl`."""
        return posterior.log_prob(noise) - self.log_prob(z)


class PriorSampler(nn.Module):
    """Standard normal noise [n, 1 + L] → z [n, L]: the first column picks the component by its normal quantile."""

    means: Tensor
    factors: Tensor
    edges: Tensor

    def __init__(self, means: Tensor, factors: Tensor, weights: Tensor) -> None:
        """Of C components: means [C, L], factors [C, L, L] whose products with noise are added, and weights [C]."""
        super().__init__()
        self.noise_size = 1 + means.shape[1]
        self.register_buffer("means", means.detach().clone())
        self.register_buffer("factors", factors.detach().clone())
        # A single component has an edge too, at infinity: CUDA does not count what is beyond no edge.
        cumulative = weights.detach().double().cumsum(dim=0)[: max(1, len(weights) - 1)].clamp(0, 1)
        self.register_buffer("edges", torch.special.ndtri(cumulative))

    def forward(self, noise: Tensor) -> Tensor:
        component = (noise[:, :1] > self.edges).long().sum(dim=-1)
        spread = self.factors[component] @ noise[:, 1:, None]
        return self.means[component] + spread.squeeze(-1)
