"""The importance graph of a model that is not linear, against numerical quadrature over its two latents."""

import numpy as np
import pytest
import torch
from torch import Tensor

from app.array import Array
from training.build import BACKGROUND, build
from training.config import Config
from training.data import describe
from training.fit import descend, start
from training.graphs import Graphs
from training.questions import Importance
from training.standardise import standardise
from training.train import stages

DRAWS = 5000


@pytest.fixture(scope="module")
def graphs() -> Graphs:
    """A network fitted in a few hundred steps to noisy rows around a ring, bent through three sensors."""
    generator = np.random.default_rng(0)
    angle = generator.uniform(0, 2 * np.pi, 2000)
    x = np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle)], axis=1) * [5.0, 0.2, 40.0]
    x += generator.standard_normal(x.shape) * [1.0, 0.04, 8.0]
    sensors = describe(x, ["a", "b", "c"], [None] * 3)
    rows = standardise(x, sensors)
    config = Config(latent_size=2, components=5, width=32, steps=2000)
    density, *_ = stages(config, rows.x.shape[1], None, holes=False)
    torch.set_num_threads(1)
    vae = descend(start(build(config, sensors, rows), density, seed=0), density, rows, rows, lambda descent: None)
    return Graphs(vae, sensors)


@torch.no_grad()
def quadrature(graphs: Graphs, x: Array) -> Array:
    """−ln p(x) in nats of raw x, [n]: a sum over a grid of latents for the network, the closed form for the rest."""
    side = torch.linspace(-9, 9, 721, dtype=torch.float64)
    z = torch.cartesian_prod(side, side)
    log_area = 2 * torch.log(side[1] - side[0])
    standardised, observed = graphs.standardised(torch.tensor(x))
    decoded = graphs.vae.decode(z[None])
    log_prior = graphs.vae.prior.log_prob(z)
    assert graphs.vae.background is not None
    background: Tensor = -graphs.vae.background.elbo(standardised, observed).negative
    nats = []
    for row, theirs in zip(standardised, background, strict=True):
        network = torch.logsumexp(decoded.log_prob(row).sum(dim=-1)[0] + log_prior, dim=0) + log_area
        nats.append(-torch.logaddexp(np.log1p(-BACKGROUND) + network, np.log(BACKGROUND) + theirs))
    return (torch.stack(nats) + graphs.scale.log().sum()).numpy()


def test_five_thousand_draws_meet_quadrature(graphs: Graphs) -> None:
    """The bound at K = 5000 is −ln p(x) to 0.02 nats on average, and no row is far off."""
    generator = np.random.default_rng(1)
    x = graphs.mean.numpy() + 0.7 * graphs.scale.numpy() * generator.standard_normal((40, 3))
    noise = torch.tensor(generator.standard_normal((DRAWS, 2)))

    with torch.no_grad():
        log_weight, _, _ = Importance(graphs)(torch.tensor(x), noise)

    bound = np.log(DRAWS) - torch.logsumexp(log_weight, dim=1).numpy()
    off = np.abs(bound - quadrature(graphs, x))
    assert off.mean() < 0.02
    assert off.max() < 0.1
