"""A kernel density of rows trained on: what their neighbours say where a network has too few rows to learn from.

Shapes: n rows, D sensors, M kernels.
"""

import math

import torch
from torch import Tensor, nn

from training.elbo import Elbo
from training.gaussian import Gaussian, exp, log
from training.student import DEGREES, inverse_spread, nats_a_square, offsets, spread
from training.sums import column, log_sum_exp, total

MOST_ROWS = 1024
"""Kernels at most; a multiple of `training.gaussian.VECTOR`."""


def widths() -> Tensor:
    """Of the kernels, in training scales; the one is taken under which each row is likeliest given the others."""
    return torch.logspace(-1.7, 0.2, 20, dtype=torch.float64)


class Neighbours(nn.Module):
    """p(x) = (1/M) Σ t(x; x_m, h²): Student's t of one width on each of M rows (Parzen 1962).

    Of a row with missing sensors it is exact too: the marginal of a t is the t of the sensors seen.
    """

    rows: Tensor
    log_width: Tensor
    log_weight: Tensor
    """ln of its share of the mass, [1]; −∞ until it has one."""
    offset: Tensor
    edges: Tensor
    """Normal quantiles at which a sample passes from one kernel to the next, [M − 1]."""

    def __init__(self, sensors: int, rows: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(rows, sensors, dtype=torch.float64))
        self.register_buffer("log_width", torch.zeros(1, dtype=torch.float64))
        self.register_buffer("log_weight", torch.full((1,), -math.inf, dtype=torch.float64))
        self.register_buffer("offset", offsets(sensors))
        shares = torch.arange(1, rows, dtype=torch.float64) / rows
        self.register_buffer("edges", torch.special.ndtri(shares), persistent=False)

    def plant(self, rows: Tensor) -> None:
        """Take standardised rows [M, D], and the width under which each is likeliest given the others."""
        self.rows.copy_(rows)
        squares, count = self._squares(self.rows, torch.ones_like(self.rows)), torch.full((1, 1), float(rows.shape[1]))
        alone = torch.diag_embed(torch.full((len(rows),), math.inf, dtype=torch.float64))
        tried = widths()
        nats = [
            -log_sum_exp(self._log_kernel(squares, count, log_width) - alone).mean().item() for log_width in tried.log()
        ]
        self.log_width.copy_(tried[nats.index(min(nats))].log())

    def elbo(self, x: Tensor, observed: Tensor) -> Elbo:
        """The negative ELBO's parts in closed form, per_sensor [n, D] and kl [n], of rows x [n, D], 0 where missing.

        Which kernel made the row is a latent with a known posterior. A kernel's nats go to the sensors in proportion to
        their parts of the squared distance, and what it takes to know the kernel to the kl.
        """
        x, observed = x.double(), observed.double()
        squares, count, log_share = self._posterior(x, observed)
        share = exp(log_share[:, :, None])[:, :, 0]
        nats = share * nats_a_square(squares[:, :, None], count[:, :, None])[:, :, 0] * (-2 * self.log_width).exp()
        parts = observed * (x.square() * column(nats) - 2 * x * (nats @ self.rows) + nats @ self.rows.square())
        own = observed * (self.log_width + 0.5 * math.log(2 * math.pi))
        kl = total(share * log_share) + math.log(len(self.rows)) + self.offset[count[:, 0].round().long()]
        return Elbo(parts + own, kl)

    def predict(self, x: Tensor, observed: Tensor) -> Gaussian:
        """Predictive moments of every sensor given the neighbours of a row, [n, D]."""
        squares, count, log_share = self._posterior(x, observed)
        share = exp(log_share[:, :, None])[:, :, 0]
        mean = share @ self.rows
        between = (share @ self.rows.square() - mean.square()).clamp(min=0)
        within = column(share * spread(squares, count)) * (2 * self.log_width).exp()
        variance = between + within
        return Gaussian(mean, variance, variance.log())

    @property
    def noise_size(self) -> int:
        """Columns of noise that a sample takes beside one for each sensor."""
        return 1 + DEGREES

    def sample(self, noise: Tensor, own: Tensor) -> Tensor:
        """Rows [n, D] from standard normal noise [n, noise_size] and [n, D]: the first column picks the kernel."""
        kernel = (noise[:, :1] > self.edges).long().sum(dim=-1)
        u = inverse_spread(noise[:, 1:])
        return self.rows[kernel] + self.log_width.exp() * own / u.sqrt()[:, None]

    def _posterior(self, x: Tensor, observed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """δ² of each kernel [n, M], how many sensors are seen [n, 1], ln of each kernel's share in the row [n, M]."""
        squares, count = self._squares(x, observed), column(observed)
        log_kernel = self._log_kernel(squares, count, self.log_width)
        largest = log_kernel.amax(dim=-1, keepdim=True)
        log_share = log_kernel - largest
        log_share = log_share - log(total(exp(log_share[:, :, None])[:, :, 0])[:, None])
        return squares * (-2 * self.log_width).exp(), count, log_share

    def _squares(self, x: Tensor, observed: Tensor) -> Tensor:
        """Squared distances over the sensors seen, [n, M]; expanded, so that no [n, M, D] array is ever made."""
        seen = observed * x
        squares = column(seen.square()) - 2 * seen @ self.rows.mT + observed @ self.rows.square().mT
        return squares.clamp(min=0)

    def _log_kernel(self, squares: Tensor, count: Tensor, log_width: Tensor) -> Tensor:
        """−½(ν + D) ln(1 + δ²/ν) of each kernel at squared distances [n, M], less D ln h: what differs by kernel."""
        scaled = squares * (-2 * log_width).exp()
        return -(nats_a_square(scaled[:, :, None], count[:, :, None])[:, :, 0] * scaled) - count * log_width
