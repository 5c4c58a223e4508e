"""Rows with missing sensors against the exact answers: of a linear model, and of one whose rows are in clusters."""

from pathlib import Path

import numpy as np
import pytest

from app.array import Array
from app.engine import Engine
from benchmarks.missing_sensors import exact
from tests.conftest import provenance
from training.build import build
from training.config import Config, Limits
from training.data import describe
from training.export import Trained, export
from training.standardise import standardise
from training.train import train

SENSORS = 6


@pytest.fixture(scope="module")
def covariance() -> Array:
    """Of six sensors that follow two factors, each with variance 1 and noise of 0.3, [6, 6]."""
    angle = np.linspace(0, np.pi, SENSORS, endpoint=False)
    loading = np.sqrt(0.7) * np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(loading.T @ loading + 0.3 * np.eye(SENSORS))


@pytest.fixture(scope="module")
def engine(covariance: Array, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A linear model at its closed-form optimum."""
    x = np.random.default_rng(1).multivariate_normal(np.zeros(SENSORS), covariance, 8000)
    sensors = describe(x, [f"s{d}" for d in range(SENSORS)], [None] * SENSORS)
    config = Config(width=0, components=0, latent_size=2, decoder_scale="shared")
    vae = build(config, sensors, standardise(x[:7000], sensors))
    written = export(Trained("linear", vae, sensors, x[7000:], provenance()), tmp_path_factory.mktemp("models"))
    assert written is not None
    return Engine(written)


def test_the_score_the_bound_and_the_bands_of_holed_rows_are_exact(engine: Engine, covariance: Array) -> None:
    """Under 30 % missing: |score − exact| ≤ 0.05 nats, imputation within 0.02 scales, 90 % bands hold 88 to 92 %."""
    generator = np.random.default_rng(2)
    x = generator.multivariate_normal(np.zeros(SENSORS), covariance, 1000)
    missing = generator.random(x.shape) < 0.3
    missing[:, 0] &= ~missing.all(axis=1)  # something is always observed
    holed = np.where(missing, np.nan, x)
    nats, mean, _ = exact(holed, covariance)

    found = engine.reconstruct(holed)

    spread = np.broadcast_to(np.sqrt(np.diag(covariance)), holed.shape)
    covered = np.abs(x - found.mean) <= 1.645 * found.scale
    assert np.abs(engine.bound(holed, draws=256, seed=0).value - nats).mean() < 0.05
    assert np.abs(engine.score(holed).score - nats).mean() < 0.05
    assert np.abs((found.mean - mean) / spread)[missing].mean() < 0.02
    assert 0.88 < covered[missing].mean() < 0.92


@pytest.mark.parametrize("components", [8, 0])
def test_bands_hold_the_models_own_rows_whatever_is_missing(components: int, tmp_path: Path) -> None:
    """Rows around eight bent clusters, from one sensor missing to all: 90 % bands hold from 85 to 95 %."""
    generator = np.random.default_rng(0)
    cluster, along = generator.integers(8, size=3000), generator.standard_normal(3000)
    x = 4 * np.random.default_rng(1).standard_normal((8, 4))[cluster] + 0.1 * generator.standard_normal((3000, 4))
    x[:, 0] += along
    x[:, 1] += np.sin(2 * along)
    sensors = describe(x, "abcd", [None] * 4)
    parts = standardise(x[:2400], sensors), standardise(x[2400:2700], sensors)
    config = Config(width=32, components=components, steps=600)
    fitted = train(config, sensors, parts, Limits(None, 1), None, False, lambda point: None)
    written = export(Trained("clusters", fitted.vae, sensors, x[2700:], provenance()), tmp_path)
    assert written is not None
    engine = Engine(written)
    own = engine.sample(generator.standard_normal((600, engine.manifest.noise_size)))

    for count in range(1, 5):
        missing = generator.permuted(np.tile(np.arange(4) < count, (600, 1)), axis=1)
        found = engine.reconstruct(np.where(missing, np.nan, own))
        assert 0.85 < (np.abs(own - found.mean) <= 1.645 * found.scale)[missing].mean() < 0.96
    nothing = engine.reconstruct(np.full((1, 4), np.nan))
    np.testing.assert_allclose(nothing.mean[0], own.mean(axis=0), atol=0.3 * x.std(axis=0).max())
    np.testing.assert_allclose(nothing.scale[0], own.std(axis=0), rtol=0.25)
