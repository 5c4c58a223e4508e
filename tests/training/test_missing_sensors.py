"""Rows with missing sensors against the exact answers, with an encoder that was trained for them."""

import numpy as np
import pytest

from app.array import Array
from app.engine import Engine
from benchmarks.missing_sensors import exact
from tests.conftest import provenance
from training.build import build
from training.config import Config
from training.data import describe
from training.export import Trained, export
from training.fit import descend, start
from training.standardise import standardise
from training.train import stages

SENSORS = 6


@pytest.fixture(scope="module")
def covariance() -> Array:
    """Of six sensors that follow two factors, each with variance 1 and noise of 0.3, [6, 6]."""
    angle = np.linspace(0, np.pi, SENSORS, endpoint=False)
    loading = np.sqrt(0.7) * np.stack([np.cos(angle), np.sin(angle)])
    return np.asarray(loading.T @ loading + 0.3 * np.eye(SENSORS))


@pytest.fixture(scope="module")
def engine(covariance: Array, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A linear model at its closed-form optimum, whose encoder of rows with missing sensors is then trained."""
    x = np.random.default_rng(1).multivariate_normal(np.zeros(SENSORS), covariance, 8000)
    sensors = describe(x, [f"s{d}" for d in range(SENSORS)], [None] * SENSORS)
    config = Config(width=0, components=0, latent_size=2, decoder_scale="shared")
    rows, validation = standardise(x[:7000], sensors), standardise(x[7000:], sensors)
    *_, missing = stages(config, rows.x.shape[1], None, holes=False)
    vae = build(config, sensors, rows)
    vae.start_partial()
    vae = descend(start(vae, missing, seed=0), missing, rows, validation, lambda descent: None)
    written = export(Trained("linear", vae, sensors, x[7000:], provenance()), tmp_path_factory.mktemp("models"))
    assert written is not None
    return Engine(written)


def test_the_bound_and_the_bands_of_holed_rows_are_exact(engine: Engine, covariance: Array) -> None:
    """Under 30 % missing: |bound − exact| ≤ 0.05 nats, imputation within 0.05 scales, 90 % bands hold 88 to 92 %."""
    generator = np.random.default_rng(2)
    x = generator.multivariate_normal(np.zeros(SENSORS), covariance, 1000)
    missing = generator.random(x.shape) < 0.3
    missing[:, 0] &= ~missing.all(axis=1)  # something is always observed
    holed = np.where(missing, np.nan, x)
    nats, mean, _ = exact(holed, covariance)

    bound = engine.bound(holed, draws=256, seed=0)
    found = engine.reconstruct(holed)

    spread = np.broadcast_to(np.sqrt(np.diag(covariance)), holed.shape)
    covered = np.abs(x - found.mean) <= 1.645 * found.scale
    assert np.abs(bound.value - nats).mean() < 0.05
    assert np.abs((found.mean - mean) / spread)[missing].mean() < 0.05
    assert 0.88 < covered[missing].mean() < 0.92
    assert np.abs(engine.score(holed).score - nats).mean() < 0.2
