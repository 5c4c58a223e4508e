"""A model with every part that training can give it answers a row with the same bits wherever the row stands."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.array import Array
from app.engine import Engine
from tests.conftest import provenance
from training.build import build
from training.config import Config
from training.data import describe
from training.export import Trained, export
from training.standardise import standardise

SENSORS, NEIGHBOURS = 7, 1 / 3


def ring_rows(count: int, seed: int) -> Array:
    """Readings [count, 7] around a ring, bent and noisy."""
    generator = np.random.default_rng(seed)
    angle = generator.uniform(0, 2 * np.pi, count)
    waves = [np.cos(angle + shift) * (1 + shift) for shift in range(SENSORS)]
    return np.stack(waves, axis=1) ** 2 + 0.1 * generator.standard_normal((count, SENSORS))


@pytest.fixture(scope="module")
def model() -> Trained:
    """Hidden layers, a mixture prior, full covariances, the background, and neighbours with a third of the mass."""
    x = ring_rows(1500, seed=0)
    sensors = describe(x, [f"s{d}" for d in range(SENSORS)], [None] * SENSORS)
    vae = build(Config(width=24, components=9), sensors, standardise(x, sensors))
    assert vae.neighbours is not None
    vae.neighbours.log_weight.fill_(np.log(NEIGHBOURS))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, parameter in vae.named_parameters():
            if "hidden.last" in name:
                parameter.normal_(std=0.003)
    return Trained("ring", vae, sensors, ring_rows(300, seed=1), provenance())


@pytest.fixture(scope="module")
def engine(model: Trained, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The model as it is served."""
    written = export(model, tmp_path_factory.mktemp("ring"))
    assert written is not None
    return Engine(written)


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 257), start=st.integers(0, 60))
@example(rows=81, start=15)
def test_every_answer_has_the_same_bits_in_every_batch(engine: Engine, rows: int, start: int) -> None:
    """Healthy, holed and far-out rows, samples and weights alike."""
    x = ring_rows(400, seed=9)
    x[::5, 0] = np.nan
    x[::11] *= 1e4
    noise = np.random.default_rng(0).standard_normal((400, engine.manifest.noise_size))
    generator = np.random.default_rng(1)
    draws = np.column_stack([generator.random(8), generator.standard_normal((8, engine.manifest.latent_size))])
    everywhere = engine.answers(x, noise, draws)

    here = engine.answers(x[start : start + rows], noise[start : start + rows], draws)

    for name, found in vars(here).items():
        assert found.tobytes() == getattr(everywhere, name)[start : start + rows].tobytes(), name


def test_the_parts_add_up_and_nothing_observed_is_nothing(engine: Engine) -> None:
    """score = kl + Σ per_sensor; a row with no sensor observed has 0 everywhere, also beside its neighbours."""
    x = ring_rows(100, seed=2)
    x[::3, 4] = np.nan
    x[7] = np.nan

    scores = engine.score(x)

    np.testing.assert_allclose(scores.kl + scores.per_sensor.sum(axis=1), scores.score, rtol=1e-9)
    assert (scores.score[7], scores.kl[7], scores.per_sensor[7].any()) == (0, 0, False)
    assert not scores.per_sensor[::3, 4].any()


def test_what_draws_rows_is_what_scores_them(model: Trained, engine: Engine) -> None:
    """Of rows drawn from p the mean of r(x)/p(x) is 1 for every density r; r is the neighbours', at most p / share."""
    noise = np.random.default_rng(3).standard_normal((4000, engine.manifest.noise_size))
    neighbours = model.vae.neighbours
    assert neighbours is not None

    x = engine.sample(noise)

    rows = torch.tensor((x - [s.mean for s in model.sensors]) / [s.scale for s in model.sensors])
    jacobian = sum(np.log(s.scale) for s in model.sensors)
    theirs = neighbours.elbo(rows, torch.ones_like(rows)).negative.numpy() + jacobian
    ratio = np.exp(engine.bound(x, 256, seed=0).value - theirs)
    assert ratio.max() < 1.01 / NEIGHBOURS
    assert ratio.mean() == pytest.approx(1, abs=0.1)
