"""r(z|seen): where importance weights take their latents from, in closed form whatever is missing.

Around each component c of a mixture of latents, N(m_c, (R_c R_cᵀ)⁻¹), the decoder is made linear: x = a_c +
W_cᵀ (z − m_c) plus noise of variances r_c. Given the sensors seen z is then a mixture of Gaussians again (Bishop 2006,
section 2.3.3): each sensor adds what it knows to a component's precision, and how well it fits to the component's
weight. Nothing is trained, a linear model's answer is exact, and importance weights mend what is not linear.

Shapes: n rows, D sensors, L latents, C components, P patterns of missing sensors among the rows, K draws.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.gaussian import exp, log
from training.mixture import Mixture, products, quadratic
from training.sums import log_sum_exp, total
from training.vae import Decoder, whitened_draws

DRAWS = 256
"""Of each component, or twice the latents where that is more: what its linear model is fitted to."""


@dataclass(frozen=True)
class Proposed:
    """A mixture of C Gaussians for each of n rows; rows with the same sensors missing share its precisions."""

    means: Tensor
    """[n, C, L]"""
    linear: Tensor
    """Each precision times its mean, [n, C, L]."""
    precisions: Tensor
    """[P, C, L, L]"""
    inverse_roots: Tensor
    """Lower triangular: the inverse Cholesky factors of the precisions, [P, C, L, L]."""
    pattern: Tensor
    """Which of the P each row has, [n]."""
    log_weights: Tensor
    """[n, C]"""

    def draw(self, noise: Tensor) -> Tensor:
        """Latents z [n, K, L] by noise [K, 1 + L]: a uniform number that picks the component, then standard normals."""
        components, latents = self.means.shape[1:]
        edges = exp(self.log_weights).cumsum(dim=-1)
        chosen = total((noise[:, :1] > edges[:, None, :]).to(noise.dtype)).clamp(max=components - 1).long()
        factors = self.inverse_roots[self.pattern[:, None], chosen]
        spread = (noise[:, None, 1:] @ factors)[:, :, 0, :]
        return self.means.gather(1, chosen[:, :, None].expand(-1, -1, latents)) + spread

    def log_prob(self, z: Tensor) -> Tensor:
        """ln r of latents z [n, K, L] in nats, [n, K]."""
        log_volume = 0.5 * z.shape[-1] * math.log(2 * math.pi) + _log_determinants(self.inverse_roots)
        constant = self.log_weights - log_volume.index_select(0, self.pattern) - 0.5 * total(self.linear * self.means)
        squares = quadratic(self.precisions).index_select(0, self.pattern)
        coefficients = torch.cat([squares, self.linear, constant[..., None]], dim=-1)
        terms = torch.cat([products(z), torch.ones_like(z[..., :1])], dim=-1)
        return log_sum_exp(terms @ coefficients.mT)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each latent, both [n, L]."""
        weights = exp(self.log_weights)[:, None, :]
        own = total(self.inverse_roots.mT.square()).index_select(0, self.pattern)
        mean = (weights @ self.means)[:, 0, :]
        return mean, (weights @ (own + (self.means - mean[:, None, :]).square()))[:, 0, :]


class Proposal(nn.Module):
    """The decoder made linear around each component of a mixture, by least squares over draws of the component.

    That is statistical linearisation (Gelb 1974; Särkkä 2013, section 5.1): what the line misses is noise.
    """

    means: Tensor
    roots: Tensor
    log_weights: Tensor
    offsets: Tensor
    """a / √r, [C, D]."""
    loadings: Tensor
    """W / √r, [C, L, D]."""
    scales: Tensor
    """√r, [C, D]."""

    def __init__(self, decode: Decoder, mixture: Mixture) -> None:
        super().__init__()
        latents = mixture.means.shape[1]
        order = mixture.means[:, 0].argsort()  # neighbours beside each other, so that even numbers pick them evenly
        mixture = Mixture(mixture.means[order], mixture.roots[order], mixture.log_weights[order])
        noise = whitened_draws(max(DRAWS, 2 * latents), latents, seed=1)
        lines = [
            _line(decode, mean, factor, noise) for mean, factor in zip(mixture.means, mixture.factors(), strict=True)
        ]
        offsets, loadings, scales = (torch.stack(parts) for parts in zip(*lines, strict=True))
        self.register_buffer("means", mixture.means.float())
        self.register_buffer("roots", mixture.roots.float())
        self.register_buffer("log_weights", mixture.log_weights.float())
        self.register_buffer("offsets", (offsets / scales).float())
        self.register_buffer("loadings", (mixture.roots @ loadings / scales[:, None, :]).float())
        self.register_buffer("scales", scales.float())

    def forward(self, x: Tensor, observed: Tensor) -> Proposed:
        """r(z|seen) of rows x [n, D], 0 where not `observed`."""
        pattern, seen = _patterns(observed)
        centres, roots, loadings = self.means.double(), self.roots.double(), self.loadings.double()
        precisions = roots @ roots.mT + (seen[:, None, None, :] * loadings) @ loadings.mT
        inverse_roots = inverse_root(precisions)
        found = self._found(x, observed, loadings)
        explained = _by_pattern(inverse_roots, found, pattern)
        means = centres + _by_pattern(inverse_roots.mT, explained, pattern)
        linear = (precisions @ centres[..., None])[..., 0].index_select(0, pattern) + found
        residual = observed[:, None, :] * (x[:, None, :] / self.scales.double() - self.offsets.double())
        log_determinants = total(roots.diagonal(dim1=-2, dim2=-1).log()) + _log_determinants(inverse_roots)
        fit = 0.5 * (total(explained.square()) - total(residual.square()))
        fit = fit - observed @ self.scales.double().log().mT
        log_weights = self.log_weights.double() + log_determinants.index_select(0, pattern) + fit
        log_weights = log_weights - log_weights.amax(dim=-1, keepdim=True)
        log_weights = log_weights - log(total(exp(log_weights))[:, None])
        return Proposed(means, linear, precisions, inverse_roots, pattern, log_weights)

    def _found(self, x: Tensor, observed: Tensor, loadings: Tensor) -> Tensor:
        """What the readings say of each component's z beside its mean, W r⁻¹ (x − a), [n, C, L]."""
        by_reading = (loadings / self.scales.double()[:, None, :]).flatten(0, 1)
        by_offset = (loadings * self.offsets.double()[:, None, :]).flatten(0, 1)
        components, latents = self.means.shape
        found: Tensor = (x @ by_reading.mT - observed @ by_offset.mT).unflatten(1, (components, latents))
        return found


@torch.no_grad()
def _line(decode: Decoder, mean: Tensor, factor: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of z = mean + factor·noise: the decoder's mean [D], its slopes by the noise [L, D], and what they miss [D]."""
    decoded = decode((mean + noise @ factor.mT)[None])
    offset = decoded.mean[0].mean(dim=0)
    slopes = noise.mT @ (decoded.mean[0] - offset) / len(noise)
    missed = (decoded.mean[0] - offset - noise @ slopes).square()
    return offset, slopes, (decoded.variance[0] + missed).mean(dim=0).sqrt()


def _patterns(observed: Tensor) -> tuple[Tensor, Tensor]:
    """Which pattern each row of `observed` [n, D] has, [n], and the patterns there are, [P, D]."""
    signs = 2 * observed - 1
    same = (signs @ signs.mT == observed.shape[1]).to(observed.dtype)
    first = torch.nonzero(total(same.tril(diagonal=-1)) == 0).squeeze(-1)
    number = torch.arange(first.shape[0], dtype=observed.dtype)
    which = (same.index_select(1, first) @ number[:, None]).squeeze(-1).long()
    return which, observed.index_select(0, first)


def _by_pattern(matrices: Tensor, vectors: Tensor, pattern: Tensor) -> Tensor:
    """Of vectors [n, C, L] the products with their pattern's matrices [P, C, L, L], [n, C, L].

    Every pattern's with every row: far cheaper for few patterns than a copy of its matrices for each row.
    """
    products = matrices @ vectors.permute(1, 2, 0)
    return products.permute(0, 3, 1, 2)[pattern, torch.arange(vectors.shape[0])]


def inverse_root(matrices: Tensor) -> Tensor:
    """C⁻¹ of the Cholesky factors C of positive definite matrices [..., L, L], by elimination: ONNX has no Cholesky."""
    size = matrices.shape[-1]
    unit = torch.eye(size, dtype=matrices.dtype)
    both, pivots = torch.cat([matrices, unit.expand_as(matrices)], dim=-1), []
    for at, below in enumerate((unit.cumsum(dim=0) - unit).unsqueeze(-1).unbind(dim=1)):
        row = both[..., at : at + 1, :]
        pivots.append(row[..., at : at + 1])
        both = both - below * (both[..., at : at + 1] / pivots[-1]) * row
    return both[..., size:] / torch.cat(pivots, dim=-2).sqrt()


def _log_determinants(inverse_roots: Tensor) -> Tensor:
    """ln |C⁻¹| of lower triangular matrices [P, C, L, L], [P, C]."""
    components, latents = inverse_roots.shape[1:3]
    diagonal = inverse_roots.diagonal(dim1=-2, dim2=-1)
    return total(log(diagonal.flatten(1)).unflatten(1, (components, latents)))
