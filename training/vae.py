"""A VAE with a Gaussian decoder on standardised sensors: q(z|x), p(x|z), and how x enters the network.

Shapes: n rows, D sensors (those that moved in training), L latents, K posterior draws. x is standardised, 0 where a
sensor is missing; `observed` is 1 where it is not. Linear parts keep the dtype of x (float64 in an exported graph), the
hidden layers their own (float32).
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from training.background import Background
from training.elbo import Elbo
from training.gaussian import VECTOR, Gaussian, exp, log, symlog
from training.posterior import Posterior, choose
from training.prior import MixturePrior, StandardPrior
from training.sums import total

LOG_SCALE_RANGE = 4.0
"""A decoder's scale moves within e^±4 around the sensor's own constant scale."""
LATENT_LOG_SCALE = (-7.0, 1.0)
"""Bounds of q(z|x)'s log scale; latents start with scale 1 under the prior, and no posterior need be much wider."""
LATENT_REACH = 3.0
"""The decoder's hidden layers see z no further out than this many √L, where healthy rows lie near one √L."""


@dataclass(frozen=True)
class Reach:
    """How far out the encoder looks, in training scales: beyond it, its answer stands still along a ray.

    `limit` [D] cuts each sensor, so that a faulty one leaves the others' evidence whole; a row whose middle |x| / limit
    is beyond `typical` is shrunk as one. With q(z|x) at rest the score grows as the squared distance, whatever the
    decoder's scale does.
    """

    limit: Tensor
    typical: float


@dataclass(frozen=True)
class Shape:
    """What the parameters' shapes follow from; `components` 0 is the N(0, I) prior, `width` 0 the linear model."""

    sensors: int
    latents: int
    width: int
    components: int


@dataclass(frozen=True)
class DecoderScale:
    """Where the decoder's scale comes from."""

    kind: Literal["free", "per_sensor", "shared", "fixed"]
    """The network; a constant for each sensor; one for all, in training scales; or `fixed`."""
    fixed: float | None = None
    """In training scales: what a squared error plus a weighted KL amounts to (see Config.fixed_scale)."""


class Encoder(nn.Module):
    """q(z|x): the mean and the scales from a linear map of the bounded x plus hidden layers on its symlog and the mask.

    The hidden layers also tie the latents together: the covariance is full.
    """

    limit: Tensor
    place: Tensor
    """Where each of the L² entries of `below` stands among the ties; the last stands for those that are 0."""

    def __init__(self, shape: Shape, reach: Reach, width: int) -> None:
        super().__init__()
        self.register_buffer("limit", reach.limit.clone())
        self.typical = reach.typical
        self.linear = nn.Parameter(torch.zeros(shape.sensors, shape.latents))
        self.offset = nn.Parameter(torch.zeros(shape.latents))
        self.log_scale = nn.Parameter(torch.zeros(shape.latents))
        rows, columns = torch.tril_indices(shape.latents, shape.latents, offset=-1)
        self.widths = [shape.latents, shape.latents, len(rows)]
        self.hidden = Hidden(2 * shape.sensors, sum(self.widths), width) if width else None
        place = torch.full((shape.latents, shape.latents), len(rows))
        place[rows, columns] = torch.arange(len(rows))
        self.register_buffer("place", place.ravel())

    def forward(self, x: Tensor, observed: Tensor) -> Posterior:
        x = self.bounded(x, observed)
        mean, log_scale = x @ self.linear + self.offset, self.log_scale.expand(x.shape[0], -1)
        if self.hidden is None:
            return Posterior(mean, log_scale.clamp(*LATENT_LOG_SCALE), None)
        correction = self.hidden(torch.cat([symlog(x), observed], dim=-1))
        mean_correction, log_scale_correction, ties = correction.split(self.widths, dim=-1)
        ties = torch.cat([ties, torch.zeros_like(mean[:, :1])], dim=-1).index_select(1, self.place)
        return Posterior(
            mean + mean_correction,
            (log_scale + log_scale_correction).clamp(*LATENT_LOG_SCALE),
            ties.unflatten(1, (mean.shape[1], mean.shape[1])),
        )

    def bounded(self, x: Tensor, observed: Tensor) -> Tensor:
        """x within the encoder's reach, [n, D]; the identity on rows like those trained on."""
        x = x * (self.typical / middle_extent(x * observed, self.limit).clamp(min=self.typical))
        return torch.minimum(torch.maximum(x, -self.limit), self.limit) * observed


class Decoder(nn.Module):
    """p(x|z) = N(mean, diag scale²): a linear mean and a constant scale a sensor, plus hidden layers that bend both."""

    floor_variance: Tensor

    def __init__(self, shape: Shape, floor: Tensor, scale: DecoderScale) -> None:
        super().__init__()
        self.register_buffer("floor_variance", floor.square() if scale.fixed is None else torch.zeros_like(floor))
        self.linear = nn.Parameter(torch.zeros(shape.latents, shape.sensors))
        self.offset = nn.Parameter(torch.zeros(shape.sensors))
        self.scale = scale
        self.log_scale = nn.Parameter(torch.zeros(1 if scale.kind == "shared" else shape.sensors))
        self.log_scale.requires_grad_(scale.fixed is None)
        self.hidden = Hidden(shape.latents, 2 * shape.sensors, shape.width) if shape.width else None

    def forward(self, z: Tensor) -> Gaussian:
        mean: Tensor = z @ self.linear + self.offset
        log_scale: Tensor = self.log_scale
        if self.hidden is not None:
            mean_correction, bend = self.hidden(within_reach(z)).chunk(2, dim=-1)
            mean = mean + mean_correction
            if self.scale.kind == "free":
                log_scale = log_scale + LOG_SCALE_RANGE * torch.tanh(bend / LOG_SCALE_RANGE)
        # variances add: the floor is noise that no network can explain away
        variance = exp((2 * log_scale).expand_as(mean)) + self.floor_variance
        return Gaussian(mean, variance, log(variance))


class Hidden(nn.Module):
    """Two hidden SiLU layers in their own dtype; the last layer starts at zero, so the linear model comes first."""

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__()
        last = nn.Linear(width, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layers(x.to(next(self.parameters()).dtype))
        return answer.to(x.dtype)


class Vae(nn.Module):
    """The whole model, with an encoder for rows with missing sensors and a background for rows like no other."""

    def __init__(self, shape: Shape, reach: Reach, floor: Tensor, scale: DecoderScale) -> None:
        super().__init__()
        self.shape = shape
        self.whole = Encoder(shape, reach, shape.width)
        self.partial = Encoder(shape, reach, shape.width or 128)
        self.decode = Decoder(shape, floor, scale)
        learned_network = shape.width > 0 and scale.fixed is None
        self.background = Background(shape.sensors) if learned_network else None
        self.prior: StandardPrior | MixturePrior = (
            MixturePrior(shape.components, shape.latents) if shape.components else StandardPrior(shape.latents)
        )

    def encode(self, x: Tensor, observed: Tensor) -> Posterior:
        """q(z|x) from the encoder that the row's pattern asks for."""
        complete = observed.amin(dim=-1, keepdim=True) > 0
        return choose(complete, self.whole(x, observed), self.partial(x, observed))

    def start_partial(self) -> None:
        """Let the encoder of rows with missing sensors begin with what the other has learnt."""
        self.partial.load_state_dict(self.whole.state_dict(), strict=False)  # a linear one has no hidden layers to give


def elbo(vae: Vae, posterior: Posterior, x: Tensor, observed: Tensor, noise: Tensor) -> Elbo:
    """−ELBO = −E_q ln p(x|z) + KL(q(z|x) ‖ p(z)) of standardised x [n, D] (Kingma & Welling 2014).

    One value a draw, made by standard normal `noise` [K, L] or [n, K, L]: per_sensor [n, K, D] and kl [n, K].
    """
    z = posterior.draw(noise)
    log_likelihood = vae.decode(z).log_prob(x[:, None, :])
    return Elbo(-observed[:, None, :] * log_likelihood, vae.prior.kl(posterior, z, noise))


def within_reach(z: Tensor) -> Tensor:
    """z [..., L], drawn in to LATENT_REACH·√L where it is further out."""
    reach = LATENT_REACH * math.sqrt(z.shape[-1])
    norm = total(z.square()).clamp(min=reach**2).sqrt()
    return z * (reach / norm.unsqueeze(-1))


def middle_extent(x: Tensor, limit: Tensor) -> Tensor:
    """The median over sensors of |x| / limit, [n, 1]."""
    extent = x.abs() / limit
    return torch.topk(extent, k=extent.shape[-1] // 2 + 1, dim=-1).values[..., -1:]


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
