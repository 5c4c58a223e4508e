"""A VAE with a Gaussian decoder on standardised sensors: q(z|x), p(x|z), p(z) and the ELBO.

Shapes: n rows, D sensors (those that moved in training), L latents, K posterior draws. x is standardised, 0 where a
sensor is missing; `observed` is 1 where it is not. Linear parts keep the dtype of x (float64 in an exported graph), the
hidden layers their own (float32).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from training.background import Background
from training.elbo import Elbo, share
from training.encoder import Encoder
from training.gaussian import VECTOR, Gaussian, exp, log
from training.hidden import Hidden
from training.mixture import Mixture
from training.neighbours import Neighbours
from training.posterior import Posterior
from training.prior import FixedPrior, MixturePrior, StandardPrior
from training.student import DEGREES, StudentT
from training.sums import column, mean_over_draws

LOG_SCALE_RANGE = 1.0
"""A decoder's scale moves within e^±1 around the sensor's own constant scale: far enough for the density, while a wider
range explains rows that should alarm."""
LATENT_REACH = 3.0
"""The decoder's hidden layers see z no further out than this many √L, where healthy rows lie near one √L."""


@dataclass(frozen=True)
class Shape:
    """What the parameters' shapes follow from; `width` 0 is the linear model."""

    sensors: int
    latents: int
    width: int
    tied: bool
    """Whether q(z|x) has a full covariance."""
    kernels: int
    """Of the neighbours; 0 where there are none."""
    background: float
    """The background's share of the mass."""


@dataclass(frozen=True)
class DecoderScale:
    """Where the decoder's scale comes from."""

    kind: Literal["free", "student_t", "per_sensor", "shared", "fixed"]
    """The network; the network, times one drawn for each reading; a constant for each sensor; one for all, in training
    scales; or `fixed`."""
    fixed: float | None = None
    """In training scales: what a squared error plus a weighted KL amounts to (see Config.fixed_scale)."""


@dataclass(frozen=True)
class Beside:
    """What a density in closed form says of rows, and ln of its share of the mass [1]."""

    elbo: Elbo
    log_weight: Tensor


@dataclass(frozen=True)
class Mixed:
    """The ELBO of the network and its experts, and each expert's share [n, 1] in it and those before it."""

    elbo: Elbo
    shares: tuple[Tensor, ...]


class Decoder(nn.Module):
    """p(x|z) = N(mean, diag scale²): a linear mean and a constant scale a sensor, plus hidden layers that bend both.

    With a scale drawn for each reading it is each sensor's Student t, whose readings far out cost a logarithm only.
    """

    floor_variance: Tensor

    def __init__(self, shape: Shape, floor: Tensor, scale: DecoderScale) -> None:
        super().__init__()
        self.register_buffer("floor_variance", floor.square() if scale.fixed is None else torch.zeros_like(floor))
        self.linear = nn.Parameter(torch.zeros(shape.latents, shape.sensors))
        self.offset = nn.Parameter(torch.zeros(shape.sensors))
        self.scale = scale
        self.noise_size = shape.sensors * (1 + DEGREES if scale.kind == "student_t" else 1)
        self.log_scale = nn.Parameter(torch.zeros(1 if scale.kind == "shared" else shape.sensors))
        self.log_scale.requires_grad_(scale.fixed is None)
        self.hidden = Hidden(shape.latents, 2 * shape.sensors, shape.width) if shape.width else None

    def forward(self, z: Tensor) -> Gaussian | StudentT:
        mean: Tensor = z @ self.linear + self.offset
        log_scale: Tensor = self.log_scale
        if self.hidden is not None:
            mean_correction, bend = self.hidden(within_reach(z)).chunk(2, dim=-1)
            mean = mean + mean_correction
            if self.scale.kind in {"free", "student_t"}:
                log_scale = log_scale + LOG_SCALE_RANGE * torch.tanh(bend / LOG_SCALE_RANGE)
        # variances add: the floor is noise that no network can explain away
        variance = exp((2 * log_scale).expand_as(mean)) + self.floor_variance
        kind = StudentT if self.scale.kind == "student_t" else Gaussian
        return kind(mean, variance, log(variance))


class Vae(nn.Module):
    """The whole model: encoder, decoder, prior, and densities in closed form to share rows with.

    The background is for rows like no other, the neighbours for those that the network has too few rows to know.
    """

    def __init__(self, shape: Shape, floor: Tensor, scale: DecoderScale) -> None:
        super().__init__()
        self.shape = shape
        self.encode = Encoder(shape.sensors, shape.latents, shape.width, shape.tied)
        self.decode = Decoder(shape, floor, scale)
        learned_network = shape.width > 0 and scale.fixed is None
        self.background = Background(shape.sensors, shape.background) if learned_network else None
        self.neighbours = Neighbours(shape.sensors, shape.kernels) if learned_network and shape.kernels else None
        self.prior: StandardPrior | MixturePrior | FixedPrior = StandardPrior(shape.latents)
        self.places: Mixture | None = None
        """Where the decoder is made linear for rows with missing sensors; None is around the prior's components."""

    @property
    def experts(self) -> tuple[Background | Neighbours, ...]:
        """The densities in closed form that have a share in a row."""
        weighted = self.neighbours is not None and bool(self.neighbours.log_weight > -math.inf)
        candidates = (self.background, self.neighbours if weighted else None)
        return tuple(expert for expert in candidates if expert is not None)


def elbo(vae: Vae, posterior: Posterior, x: Tensor, observed: Tensor, noise: Tensor) -> Elbo:
    """−ELBO = −E_q ln p(x|z) + KL(q(z|x) ‖ p(z)) of standardised x [n, D] (Kingma & Welling 2014).

    One value a draw, made by standard normal `noise` [K, L] or [n, K, L]: per_sensor [n, K, D] and kl [n, K].
    """
    z = posterior.draw(noise)
    return Elbo(costs(vae.decode(z), x, observed), vae.prior.kl(posterior, z, noise))


def costs(decoded: Gaussian | StudentT, x: Tensor, observed: Tensor) -> Tensor:
    """−ln p(x|z) of each sensor of x [n, D] at each draw that was decoded, [n, K, D], 0 where it is missing."""
    return -observed[:, None, :] * decoded.log_prob(x[:, None, :])


def network(vae: Vae, posterior: Posterior, x: Tensor, observed: Tensor, noise: Tensor) -> Elbo:
    """The network's negative ELBO of standardised rows, the mean over draws: per_sensor [n, D] and kl [n]."""
    per_draw = elbo(vae, posterior, x, observed, noise)
    return Elbo(mean_over_draws(per_draw.per_sensor), mean_over_draws(per_draw.kl[:, :, None])[:, 0])


def beside(experts: Iterable[Background | Neighbours], x: Tensor, observed: Tensor) -> tuple[Beside, ...]:
    """What each expert says of rows x [n, D]."""
    return tuple(Beside(expert.elbo(x, observed), expert.log_weight) for expert in experts)


def mix(parts: Elbo, experts: Iterable[Beside]) -> Mixed:
    """The network's negative ELBO of rows with what each expert says mixed in, one after the other."""
    shares = []
    for expert in experts:
        shared = share(parts, expert.elbo, expert.log_weight)
        parts = shared.elbo
        shares.append(shared.share)
    return Mixed(parts, tuple(shares))


def within_reach(z: Tensor) -> Tensor:
    """z [..., L], drawn in to LATENT_REACH·√L where it is further out."""
    reach = LATENT_REACH * math.sqrt(z.shape[-1])
    return z * (reach / column(z.square()).clamp(min=reach**2).sqrt())


def whitened_draws(count: int, latents: int, seed: int) -> Tensor:
    """Standard normal draws [K, L] in float64 with mean 0 and covariance I exactly: antithetic pairs, then whitened.

    They make the Monte-Carlo mean exact for a decoder that is linear in z. `count` is even and at least 2·latents.
    """
    half = torch.randn(count // 2, latents, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    second_moment = half.mT @ half / len(half)
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(second_moment), half.mT, upper=False).mT
    return torch.cat([half, -half])


def draws_for(latents: int) -> int:
    """How many constant draws a graph carries: the fewest that whiten, at least 16, in whole vectors."""
    return max(16, VECTOR * math.ceil(2 * latents / VECTOR))
