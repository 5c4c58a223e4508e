"""The importance graph of a model that is not linear, against numerical quadrature over its two latents."""

import numpy as np
import pytest
import torch
from torch import Tensor

from app.array import Array
from app.importance import bound
from training.build import BACKGROUND, build
from training.config import Config
from training.data import describe
from training.fit import descend, start
from training.graphs import Graphs
from training.questions import Score, importance
from training.standardise import standardise
from training.train import density_stage

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
    config = Config(latent_size=2, components=5, width=32, steps=1000)
    density = density_stage(config, rows.x.shape[1], None)
    torch.set_num_threads(1)
    vae = descend(start(build(config, sensors, rows), seed=0), density, rows, rows, lambda descent: None)
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
    for row, seen, theirs in zip(standardised, observed, background, strict=True):
        network = torch.logsumexp((seen * decoded.log_prob(row)).sum(dim=-1)[0] + log_prior, dim=0) + log_area
        nats.append(-torch.logaddexp(np.log1p(-BACKGROUND) + network, np.log(BACKGROUND) + theirs))
    return (torch.stack(nats) + observed @ graphs.scale.log()).numpy()


def rows(graphs: Graphs, count: int) -> Array:
    """Rows [count, 3] in and around the ring."""
    generator = np.random.default_rng(1)
    return graphs.mean.numpy() + 0.7 * graphs.scale.numpy() * generator.standard_normal((count, 3))


@torch.no_grad()
def bounds(graphs: Graphs, x: Array, draws: int, seed: int) -> Array:
    """The importance-weighted bound of rows x with so many draws, [n]."""
    generator = np.random.default_rng(seed)
    noise = torch.tensor(np.column_stack([generator.random(draws), generator.standard_normal((draws, 2))]))
    log_weight, _, _ = importance(graphs, graphs.told(torch.tensor(x)), noise)
    nats: Array = np.log(draws) - torch.logsumexp(log_weight, dim=1).numpy()
    return nats


def test_five_thousand_draws_meet_quadrature(graphs: Graphs) -> None:
    """The bound at K = 5000 is −ln p(x) to 0.02 nats, in every row; some of them miss a sensor."""
    x = rows(graphs, 40)
    x[::3, 0] = np.nan

    off = np.abs(bounds(graphs, x, DRAWS, seed=0) - quadrature(graphs, x))

    assert off.max() < 0.02


def test_a_bound_is_as_exact_as_it_says(graphs: Graphs) -> None:
    """With 64 draws more than nine rows in ten are within three standard errors of −ln p(x)."""
    x = rows(graphs, 100)
    generator = np.random.default_rng(0)
    noise = torch.tensor(np.column_stack([generator.random(64), generator.standard_normal((64, 2))]))
    with torch.no_grad():
        log_weight, _, _ = importance(graphs, graphs.told(torch.tensor(x)), noise)

    found = bound(log_weight.numpy(), 64)

    assert np.mean(np.abs(found.value - quadrature(graphs, x)) < 3 * found.error) > 0.9
    assert found.error.mean() < 0.1


def test_more_draws_bound_more_tightly(graphs: Graphs) -> None:
    """The mean bound over seeds falls from 1 to 8 to 64 draws (rows of one seed share their draws)."""
    x = rows(graphs, 40)

    one, some, many = (np.mean([bounds(graphs, x, draws, seed) for seed in range(40)]) for draws in (1, 8, 64))

    assert one > some > many > quadrature(graphs, x).mean()


@torch.no_grad()
def test_the_score_of_rows_with_a_sensor_missing_is_nearly_exact(graphs: Graphs) -> None:
    """It is a bound by importance weights of its constant draws: within 0.02 nats on average."""
    x = rows(graphs, 40)
    x[:, 0] = np.nan

    score, _, _ = Score(graphs)(torch.tensor(x))

    assert np.abs(score.numpy() - quadrature(graphs, x)).mean() < 0.02
