"""The five questions with float64 at their boundary: what is exported, and what it is compared with.

Four are about rows and share most of their work: they are exported as one, and each takes its own from that.
Shapes: n rows, D sensors, A of them in the density, L latents, K draws.
"""

import torch
from torch import Tensor, nn

from training.elbo import log_rest
from training.gaussian import Gaussian, exp
from training.graphs import Asked, Graphs, Network, Told
from training.student import StudentT
from training.sums import log_add_exp, total
from training.vae import costs

CONSTANT_NATS = 0.5
"""A sensor that never moved costs ½ ((x − value) / scale)² nats: nothing at rest, and no density is bought by it."""
OF_ROWS = (
    *("latent_mean", "latent_scale"),
    *("mean", "scale"),
    *("score", "kl", "per_sensor"),
    *("log_weight", "draw_mean", "draw_scale"),
)
"""What is answered of rows, in the order in which it is answered."""


class OfRows(nn.Module):
    """x [n, D], noise [K, 1 + L] → OF_ROWS, as `encode`, `reconstruct`, `score` and `importance` say."""

    def __init__(self, graphs: Graphs) -> None:
        super().__init__()
        self.graphs = graphs

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        g = self.graphs
        told = g.told(x)
        return (*encode(g, told.network), *reconstruct(g, told), *score(g, told), *importance(g, told, noise))


class Score(nn.Module):
    """x [n, D] → score [n], kl [n], per_sensor [n, D]."""

    def __init__(self, graphs: Graphs) -> None:
        super().__init__()
        self.graphs = graphs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        g = self.graphs
        return score(g, g.told(x))


class Sample(nn.Module):
    """Standard normal noise [n, M] → x [n, D] drawn from p(x): the prior, the decoder and its noise are all inside."""

    edges: Tensor
    """Normal quantiles beyond which a row is the expert's, [E + 1]; the last stands for none."""

    def __init__(self, graphs: Graphs) -> None:
        super().__init__()
        self.graphs = graphs
        self.parts = [
            graphs.sample_prior.noise_size,
            graphs.vae.decode.noise_size,
            *(1 + expert.noise_size for expert in graphs.experts),
        ]
        self.noise_size = sum(self.parts)
        beyond = [torch.special.ndtri(-torch.expm1(expert.log_weight)) for expert in graphs.experts]
        self.register_buffer("edges", torch.stack([*beyond, torch.full((1,), torch.inf, dtype=torch.float64)]))

    def forward(self, noise: Tensor) -> Tensor:
        g = self.graphs
        latent, decoder, *others = noise.split(self.parts, dim=-1)
        decoded: Gaussian | StudentT = g.vae.decode(g.sample_prior(latent))
        active, own = decoded.sample(decoder), decoder[:, : len(g.active)]
        for expert, edge, other in zip(g.experts, self.edges, others, strict=False):
            active = torch.where(other[:, :1] > edge, expert.sample(other[:, 1:], own), active)
        at_rest = torch.zeros_like(noise[:, :1]).expand(-1, len(g.constant))
        return g.mean + g.scale * g.in_order(active, at_rest)


def encode(graphs: Graphs, network: Network) -> tuple[Tensor, Tensor]:
    """mean, scale [n, L] of q(z|x), normalised to mean 0 and variance 1 under the prior."""
    mean, scale = network.latent_mean, network.latent_variance.sqrt()
    return (mean - graphs.prior_mean) / graphs.prior_scale, scale / graphs.prior_scale


def reconstruct(graphs: Graphs, told: Told) -> tuple[Tensor, Tensor]:
    """mean, scale [n, D]: moments of the decoder over the posterior draws, in the sensors' units."""
    mean, variance = told.network.mean, told.network.variance
    for moments, share in zip(told.moments, told.mixed.shares, strict=True):
        mean, variance = blend(mean, variance, moments, share)
    return in_units(graphs, mean, variance)


def score(graphs: Graphs, told: Told) -> tuple[Tensor, Tensor, Tensor]:
    """score [n], kl [n], per_sensor [n, D] in nats of raw x: score = kl + Σ per_sensor."""
    asked, parts = told.asked, told.mixed.elbo
    per_sensor = graphs.in_order(
        parts.per_sensor + asked.seen * graphs.scale[graphs.active].log(), nats_at_rest(graphs, asked)
    )
    kl = parts.kl * asked.seen.amax(dim=-1)  # nothing observed, nothing learnt
    return total(per_sensor) + kl, kl, per_sensor


def importance(graphs: Graphs, told: Told, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """noise [K, 1 + L] → log_weight [n, K], mean [n, K, D], scale [n, K, D].

    Each row of noise, a uniform number and standard normals, makes one draw z from the proposal r(z|x). log_weight is
    ln p(x, z) − ln r(z|x) in nats of raw x: the mean of its exponentials estimates p(x) without bias (Burda, Grosse &
    Salakhutdinov 2016). mean and scale are what each draw says of every sensor. The experts, whose posteriors are
    known, are in every draw.
    """
    active, seen = told.asked.moving, told.asked.seen
    proposed = graphs.proposed(active, seen)
    z = proposed.draw(noise)
    decoded: Gaussian | StudentT = graphs.vae.decode(z)
    log_weight = graphs.vae.prior.log_prob(z) - proposed.log_prob(z) - total(costs(decoded, active, seen))
    mean, variance = decoded.mean, decoded.variance
    for expert, moments in zip(told.experts, told.moments, strict=True):
        others, own = log_rest(expert.log_weight) + log_weight, -expert.elbo.negative[:, None]
        own = expert.log_weight + own
        log_weight = log_add_exp(others, own)
        share = exp(own - log_weight)[:, :, None]
        mean, variance = blend(mean, variance, moments.for_draws(), share)
    log_weight = log_weight * seen.amax(dim=-1, keepdim=True)  # nothing observed, nothing learnt
    jacobian = total(seen * graphs.scale[graphs.active].log()) + total(nats_at_rest(graphs, told.asked))
    return log_weight - jacobian[:, None], *in_units(graphs, mean, variance)


def nats_at_rest(graphs: Graphs, asked: Asked) -> Tensor:
    """What the sensors that never moved cost, [n, D - A]."""
    return graphs.resting(asked.observed) * CONSTANT_NATS * graphs.resting(asked.x).square()


def blend(mean: Tensor, variance: Tensor, other: Gaussian, share: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the mixture of two distributions, of which `other` has the share given; they broadcast."""
    between = share * (1 - share) * (mean - other.mean).square()
    return mean + share * (other.mean - mean), (1 - share) * variance + share * other.variance + between


def in_units(graphs: Graphs, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Moments [..., A] of the standardised sensors that move → mean and scale [..., D] of all, in their units."""
    at_rest = torch.zeros_like(mean[..., :1]).expand(*mean.shape[:-1], len(graphs.constant))
    scale = graphs.scale * graphs.in_order(variance.sqrt(), at_rest + 1)
    return graphs.mean + graphs.scale * graphs.in_order(mean, at_rest), scale
