"""q(z|x), and how x enters the network: bounded, so that its answer stands still far out.

Shapes: n rows, D sensors (those that moved in training), L latents. x is standardised, 0 where a sensor is missing;
`observed` is 1 where it is not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.gaussian import symlog
from training.hidden import Hidden
from training.posterior import Posterior

LATENT_LOG_SCALE = (-7.0, 1.0)
"""Bounds of q(z|x)'s log scale; latents start with scale 1 under the prior, and no posterior need be much wider."""


@dataclass(frozen=True)
class Reach:
    """How far out the encoder looks, in training scales: beyond it, its answer stands still along a ray.

    `limit` [D] cuts each sensor, so that a faulty one leaves the others' evidence whole; a row whose middle |x| / limit
    is beyond `typical` is shrunk as one. With q(z|x) at rest the score grows as the squared distance, whatever the
    decoder's scale does.
    """

    limit: Tensor
    typical: Tensor


class Encoder(nn.Module):
    """q(z|x): the mean and the scales from a linear map of the bounded x plus hidden layers on its symlog and the mask.

    Where `tied`, the hidden layers also tie the latents together: the covariance is full.
    """

    limit: Tensor
    typical: Tensor
    place: Tensor
    """Where each of the L² entries of `below` stands among the ties; the last stands for those that are 0."""

    def __init__(self, sensors: int, latents: int, width: int, tied: bool) -> None:
        super().__init__()
        self.register_buffer("limit", torch.full((sensors,), torch.inf))
        self.register_buffer("typical", torch.ones(1))
        self.linear = nn.Parameter(torch.zeros(sensors, latents))
        self.offset = nn.Parameter(torch.zeros(latents))
        self.log_scale = nn.Parameter(torch.zeros(latents))
        rows, columns = torch.tril_indices(latents, latents, offset=-1)
        self.tied = tied
        self.widths = [latents, latents, len(rows) if tied else 0]
        self.hidden = Hidden(2 * sensors, sum(self.widths), width) if width else None
        place = torch.full((latents, latents), len(rows))
        place[rows, columns] = torch.arange(len(rows))
        self.register_buffer("place", place.ravel())

    def look(self, reach: Reach) -> None:
        """Take how far out to look."""
        self.limit.copy_(reach.limit)
        self.typical.copy_(reach.typical)

    def forward(self, x: Tensor, observed: Tensor) -> Posterior:
        x = self.bounded(x, observed)
        mean = x @ self.linear + self.offset
        if self.hidden is None:
            return Posterior(mean, self.log_scale.expand_as(mean).clamp(*LATENT_LOG_SCALE), None)
        correction = self.hidden(torch.cat([symlog(x), observed], dim=-1))
        mean_correction, log_scale_correction, ties = correction.split(self.widths, dim=-1)
        below = None
        if self.tied:
            padded = torch.cat([ties, torch.zeros_like(mean[:, :1])], dim=-1)
            below = padded.index_select(1, self.place).unflatten(1, (mean.shape[1], mean.shape[1]))
        log_scale = (self.log_scale + log_scale_correction).clamp(*LATENT_LOG_SCALE)
        return Posterior(mean + mean_correction, log_scale, below)

    def bounded(self, x: Tensor, observed: Tensor) -> Tensor:
        """x within the encoder's reach, [n, D]; the identity on rows like those trained on."""
        extent = middle_extent(x * observed, self.limit)
        x = x * (self.typical / extent.maximum(self.typical))
        return torch.minimum(torch.maximum(x, -self.limit), self.limit) * observed


def middle_extent(x: Tensor, limit: Tensor) -> Tensor:
    """The median over sensors of |x| / limit, [n, 1]."""
    extent = x.abs() / limit
    return torch.topk(extent, k=extent.shape[-1] // 2 + 1, dim=-1).values[..., -1:]
