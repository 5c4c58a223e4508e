"""How much of the mass the neighbours get: the share under which rows that nothing was fitted to are likeliest."""

import torch
from torch import Tensor

from training.fit import AT_ONCE, VALIDATION_ROWS, Rows
from training.vae import Vae, beside, draws_for, mix, network, whitened_draws

ROUNDS = 200
LEAST, MOST = 0.05, 0.9
"""A smaller share is none: it would cost every answer more than it tells."""


@torch.no_grad()
def weigh_neighbours(vae: Vae, rows: Rows) -> None:
    """Give the neighbours of `vae` their share of the mass, by some of `rows` that it was not fitted to."""
    if vae.neighbours is None or vae.background is None:
        return
    noise = whitened_draws(draws_for(vae.shape.latents), vae.shape.latents, seed=0).float()
    first, second = [], []
    for some in torch.linspace(0, len(rows) - 1, min(len(rows), VALIDATION_ROWS)).long().split(AT_ONCE):
        x, observed = rows.x[some], rows.observed[some]
        parts = network(vae, vae.encode(x, observed), x, observed, noise)
        first.append(mix(parts, beside([vae.background], x, observed)).elbo.negative)
        second.append(vae.neighbours.elbo(x, observed).negative)
    weight = torch.tensor([weight_of(torch.cat(second), torch.cat(first))], dtype=torch.float64)
    vae.neighbours.log_weight.copy_(weight.log())


def weight_of(second: Tensor, first: Tensor) -> float:
    """The weight w of `second` in −ln[(1 − w) e^−first + w e^−second], 0 where it is small; both are nats of n rows.

    Expectation maximisation of the one weight, as in stacked density estimation (Smyth & Wolpert 1999), from one row
    more that speaks for the first.
    """
    log_ratio = first.double() - second.double()
    weight = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(ROUNDS):
        weight = torch.sigmoid(log_ratio + torch.logit(weight)).sum() / (len(log_ratio) + 1)
    found = weight.item()
    return 0.0 if found < LEAST else min(found, MOST)
