"""Mixtures of full-covariance Gaussians of latents: their density, and expectation maximisation.

Shapes: n rows, L latents, C components, T = L (L + 1) / 2 + L.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.sums import NEGLIGIBLE

ROUNDS, ROUNDS_TO_CHOOSE = 20, 5
LEAST_GAIN = 1e-3
"""Nats a row that a round must gain, or it is the last."""
ROWS_A_LATENT = 4
"""A mixture that is tried has at least so many rows for each latent of each component."""
WORSE = 0.5
"""Nats above the best so far at which no larger mixture is tried."""
RIDGE = 1e-6
"""Added to the variance of each latent over all rows: a latent that does not move has none."""


@dataclass(frozen=True)
class Mixture:
    """p(z) = Σ w_c N(m_c, (R_c R_cᵀ)⁻¹)."""

    means: Tensor
    """[C, L]"""
    roots: Tensor
    """R, [C, L, L]: lower triangular, the Cholesky factors of the precisions."""
    log_weights: Tensor
    """[C]"""

    def log_prob(self, z: Tensor) -> Tensor:
        """ln p(z) in nats, [..., n]."""
        return _log_sum_exp(self.log_joint(z)).squeeze(-1)

    def log_joint(self, z: Tensor) -> Tensor:
        """ln w_c N(z; m_c, …) in nats of z [..., L], [..., C]."""
        coefficients, constant = self.polynomial()
        return products(z) @ coefficients + constant

    def polynomial(self) -> tuple[Tensor, Tensor]:
        """Coefficients [T, C] of the `products` of z, and the constant [C], that ln w_c N(z; m_c, …) has.

        Squares are expanded, so that a density is one matrix product and no [..., C, L] array is ever made.
        """
        latents = self.means.shape[1]
        precisions = self.roots @ self.roots.mT
        linear = (precisions @ self.means[:, :, None]).squeeze(-1)
        log_volume = 0.5 * latents * math.log(2 * math.pi) - self.roots.diagonal(dim1=1, dim2=2).log().sum(dim=-1)
        constant = self.log_weights - log_volume - 0.5 * (linear * self.means).sum(dim=-1)
        coefficients = torch.cat([quadratic(precisions), linear], dim=-1)
        return coefficients.mT, constant

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and scale [L] of the whole mixture."""
        weights = self.log_weights.exp()
        mean = weights @ self.means
        spread = self.factors().square().sum(dim=-1)
        return mean, (weights @ (spread + (self.means - mean).square())).sqrt()

    def factors(self) -> Tensor:
        """R⁻ᵀ [C, L, L]: z = m_c + R_c⁻ᵀ noise."""
        unit = torch.eye(self.means.shape[1], dtype=self.means.dtype).expand_as(self.roots)
        inverse: Tensor = torch.linalg.solve_triangular(self.roots.mT, unit, upper=True)
        return inverse


def _log_sum_exp(x: Tensor) -> Tensor:
    """ln Σ exp over the last axis, which stays; what is too small to count is kept off the slow denormal numbers."""
    largest = x.detach().amax(dim=-1, keepdim=True)
    return (x - largest).clamp(min=NEGLIGIBLE).exp().sum(dim=-1, keepdim=True).log() + largest


def together(first: Mixture, second: Mixture, weight: float) -> Mixture:
    """The mixture of two mixtures, of which the second has the weight given."""
    log_weights = first.log_weights + math.log1p(-weight), second.log_weights + math.log(weight)
    return Mixture(
        torch.cat([first.means, second.means.to(first.means.dtype)]),
        torch.cat([first.roots, second.roots.to(first.roots.dtype)]),
        torch.cat([log_weights[0], log_weights[1].to(first.means.dtype)]),
    )


def products(z: Tensor) -> Tensor:
    """z_i z_j for i ≤ j, and z: [..., L] → [..., T].

    Matrices of 0 and 1 pick the factors, exactly: onnxruntime multiplies by them much faster than it gathers columns.
    """
    first, second = torch.triu_indices(z.shape[-1], z.shape[-1])
    unit = torch.eye(z.shape[-1], dtype=z.dtype)
    return torch.cat([(z @ unit[:, first]) * (z @ unit[:, second]), z], dim=-1)


def quadratic(precisions: Tensor) -> Tensor:
    """What −½ zᵀ P z has for coefficients of the z_i z_j, i ≤ j, of `products`: [..., L, L] → [..., L (L + 1) / 2]."""
    first, second = torch.triu_indices(precisions.shape[-1], precisions.shape[-1])
    factor = torch.where(first == second, -0.5, -1.0).to(precisions.dtype)
    return factor * precisions[..., first, second]


def fit(z: Tensor, components: int, generator: torch.Generator, rounds: int = ROUNDS) -> Mixture:
    """Expectation maximisation on rows z [n, L] from as many random ones (Dempster, Laird & Rubin 1977).

    Every covariance is drawn towards that of all rows, shrunk to a component's part of the volume, as by L + 2 rows of
    an inverse Wishart prior (Fraley & Raftery 2007), so that no component collapses.
    """
    z = z.double()
    rows, latents = z.shape
    whole = torch.cov(z.mT, correction=0).reshape(latents, latents) + RIDGE * torch.eye(latents, dtype=z.dtype)
    typical = whole * components ** (-2 / latents)
    found = Mixture(
        z[torch.randperm(rows, generator=generator)[:components]],
        torch.linalg.cholesky(torch.linalg.inv(typical)).repeat(components, 1, 1),
        torch.full((components,), -math.log(components), dtype=z.dtype),
    )
    least = math.inf
    for nats, better in _rounds(z, found, typical, rounds):
        found = better
        if least - nats < LEAST_GAIN:
            break
        least = nats
    return found


def _rounds(z: Tensor, found: Mixture, typical: Tensor, rounds: int) -> Iterator[tuple[float, Mixture]]:
    """The nats a row of each round's mixture, and the next mixture."""
    (rows, latents), components, prior_rows = z.shape, len(found.means), z.shape[1] + 2
    first, second = torch.triu_indices(latents, latents)
    moments = products(z)
    for _ in range(rounds):
        log_joint = found.log_joint(z)
        log_prob = _log_sum_exp(log_joint)
        shares = (log_joint - log_prob).clamp(min=NEGLIGIBLE).exp()
        count, sums = shares.sum(dim=0), shares.mT @ moments
        means = torch.where(count[:, None] > RIDGE, sums[:, len(first) :] / count[:, None], found.means)
        squares = torch.zeros(components, latents, latents, dtype=z.dtype)
        squares[:, first, second] = squares[:, second, first] = sums[:, : len(first)]
        scatter = squares - count[:, None, None] * means[:, :, None] * means[:, None, :]
        covariances = (scatter + prior_rows * typical) / (count[:, None, None] + prior_rows)
        roots = torch.linalg.cholesky(torch.linalg.inv(covariances))
        found = Mixture(means, roots, ((count + 1) / (rows + components)).log())
        yield -log_prob.mean().item(), found


def choose(z: Tensor, most: int, generator: torch.Generator) -> int:
    """How many components, 1, 2, 4, … up to `most`, make rows z [n, L] likeliest that a fifth of them is held out for.

    The search ends at a mixture that is clearly worse than the best before it.
    """
    order = torch.randperm(len(z), generator=generator)
    held_out, rest = z[order[: len(z) // 5]].double(), z[order[len(z) // 5 :]]
    best, least = 1, math.inf
    most = max(1, min(most, len(rest) // (ROWS_A_LATENT * z.shape[1])))
    for doublings in range(most.bit_length()):
        components = 2**doublings
        nats = -fit(rest, components, generator, ROUNDS_TO_CHOOSE).log_prob(held_out).mean().item()
        if nats > least + WORSE:
            break
        if nats < least:
            best, least = components, nats
    return best
