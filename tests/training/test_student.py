"""A decoder of Student's t: scipy's density and draws, and a model of sensors with spikes of their own."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest, t
from torch import Tensor

from app.array import Array
from app.engine import Engine
from tests.conftest import provenance
from training.config import Config, Limits
from training.data import describe
from training.export import Trained, export
from training.graphs import Graphs
from training.questions import Score
from training.standardise import standardise
from training.student import DEGREES, StudentT
from training.train import train

MEAN, SCALE = np.array([1.0, -2.0]), np.array([0.5, 3.0])
SENSORS = 6


def student() -> StudentT:
    """Of two dimensions."""
    squared: Tensor = torch.tensor(SCALE**2)
    return StudentT(torch.tensor(MEAN), squared, squared.log())


def test_its_density_is_scipys() -> None:
    """Near and 10⁶ scales out."""
    x = MEAN + SCALE * np.concatenate([np.linspace(-5, 5, 20), [1e6]])[:, None]

    found = student().log_prob(torch.tensor(x)[None])[0]

    np.testing.assert_allclose(found.numpy(), t.logpdf(x, DEGREES, MEAN, SCALE), rtol=1e-9)


def test_its_draws_are_from_it() -> None:
    """20,000 of each dimension, by the Kolmogorov-Smirnov test."""
    noise = np.random.default_rng(0).standard_normal((20_000, 2 * (1 + DEGREES)))

    drawn = student().sample(torch.tensor(noise)).numpy()

    for column, mean, scale in zip(drawn.T, MEAN, SCALE, strict=True):
        assert kstest(column, t(DEGREES, mean, scale).cdf).pvalue > 0.01


def spiky(count: int, seed: int) -> Array:
    """Six sensors that follow two factors, one reading in twenty of each ten times as noisy, [count, 6]."""
    generator = np.random.default_rng(seed)
    angle = np.linspace(0, np.pi, SENSORS, endpoint=False)
    x = generator.standard_normal((count, 2)) @ np.stack([np.cos(angle), np.sin(angle)])
    noise = np.where(generator.random(x.shape) < 0.05, 2.0, 0.2)
    return np.asarray(x + noise * generator.standard_normal(x.shape))


def fitted(scale: str) -> Trained:
    """A model of spiky rows with either decoder."""
    x = spiky(3000, seed=0)
    sensors = describe(x, "abcdef", [None] * SENSORS)
    parts = standardise(x[:2500], sensors), standardise(x[2500:2800], sensors)
    config = Config(decoder_scale=scale, latent_size=2, components=4, width=32, steps=800)
    vae = train(config, sensors, parts, Limits(None, 1), None, False, lambda point: None).vae
    return Trained("spiky", vae, sensors, x[2800:], provenance())


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """That with a decoder of Student's t."""
    written = export(fitted("student_t"), tmp_path_factory.mktemp("student_t"))
    assert written is not None
    assert written.manifest.decoder == "student_t"
    return Engine(written)


def test_spikes_of_single_sensors_cost_it_less(engine: Engine) -> None:
    """Held-out rows are likelier by more than a tenth of a nat than with a Gaussian decoder."""
    x, gaussian = spiky(1000, seed=1), fitted("free")

    with torch.no_grad():
        nats, _, _ = Score(Graphs(gaussian.vae, gaussian.sensors)).eval()(torch.tensor(x))

    assert engine.score(x).score.mean() < nats.mean() - 0.1


def test_a_spike_does_not_move_what_is_expected(engine: Engine) -> None:
    """One sensor far out is told by its own nats; 90 % bands of the others, given the rest, still hold."""
    x = spiky(400, seed=2)
    x[:, 0] += 30.0

    per_sensor = engine.score(x).per_sensor
    expected = engine.expected(x[:100])

    assert (per_sensor.argmax(axis=1) == 0).mean() > 0.95
    assert np.isfinite(expected.scale).all()
    far = np.array([engine.score(np.where(np.arange(SENSORS) == 0, d, x[:20])).score for d in 10.0 ** np.arange(2, 7)])
    assert (np.diff(far, axis=0) > 0).all()


def test_a_weighted_kl_is_of_a_gaussian_decoder_only() -> None:
    """Both together mean nothing."""
    with pytest.raises(ValueError, match="kl_weight fixes the variance of a Gaussian decoder"):
        Config(decoder_scale="student_t", kl_weight=1e-4)
