"""Missing sensors on data whose every conditional is known: correlated Gaussian, 30 % missing completely at random.

    python -m benchmarks.missing_sensors

Beside the exact answers: the bound with 256 draws and the plain score, what the missing sensors are thought to read,
and how often the 90 % band holds the value that was hidden. Rows with nothing observed are left out.
"""

import numpy as np
from scipy.stats import norm

from app.array import Array
from app.engine import Engine
from benchmarks.fitting import fit, machine
from training.config import Config

SENSORS, FACTORS, TRAIN_ROWS, TEST_ROWS = 8, 4, 20_000, 2000
MISSING, DRAWS = 0.3, 256


def main() -> None:
    """Print a line a model."""
    print(machine())
    generator = np.random.default_rng(0)
    loading = generator.standard_normal((FACTORS, SENSORS))
    covariance = loading.T @ loading + np.diag(generator.uniform(0.2, 0.6, SENSORS))
    x = generator.multivariate_normal(np.zeros(SENSORS), covariance, TRAIN_ROWS + TEST_ROWS)
    holed = np.where(generator.random((TEST_ROWS, SENSORS)) < MISSING, np.nan, x[TRAIN_ROWS:])
    kept = ~np.isnan(holed).all(axis=1)
    linear = Config(width=0, components=0, latent_size=FACTORS, decoder_scale="per_sensor")
    print(
        f"{'model':10} {'|bound - exact|':>15} {'score - exact':>13} {'imputation, scales':>18} "
        f"{'imputation, conditional scales':>30} {'coverage of 90 %':>16}"
    )
    for name, config in (("linear", linear), ("default", Config())):
        engine = fit(x[:TRAIN_ROWS], config).engine
        _line(name, engine, x[TRAIN_ROWS:][kept], holed[kept], covariance)


def _line(name: str, engine: Engine, whole: Array, holed: Array, covariance: Array) -> None:
    nats, mean, scale = exact(holed, covariance)
    missing = np.isnan(holed)
    found = engine.reconstruct(holed)
    off = (found.mean - mean)[missing]
    spread = np.broadcast_to(np.sqrt(np.diag(covariance)), holed.shape)[missing]
    band = norm.ppf(0.95) * found.scale[missing]
    print(
        f"{name:10} {np.abs(engine.bound(holed, DRAWS, seed=0).value - nats).mean():15.4f} "
        f"{(engine.score(holed).score - nats).mean():13.4f} {np.sqrt(np.mean((off / spread) ** 2)):18.4f} "
        f"{np.sqrt(np.mean((off / scale[missing]) ** 2)):30.4f} "
        f"{np.mean(np.abs(whole[missing] - found.mean[missing]) <= band):16.4f}",
        flush=True,
    )


def exact(holed: Array, covariance: Array) -> tuple[Array, Array, Array]:
    """The observed part's negative log-likelihood [n], and every sensor's mean and scale given it, both [n, D]."""
    nats, mean, scale = np.empty(len(holed)), np.zeros_like(holed), np.zeros_like(holed)
    for row, readings in enumerate(holed):
        seen = ~np.isnan(readings)
        inverse = np.linalg.inv(covariance[np.ix_(seen, seen)])
        gain = covariance[:, seen] @ inverse
        log_volume = seen.sum() * np.log(2 * np.pi) - np.linalg.slogdet(inverse)[1]
        nats[row] = 0.5 * (readings[seen] @ inverse @ readings[seen] + log_volume)
        mean[row] = gain @ readings[seen]
        scale[row] = np.sqrt(np.maximum(np.diag(covariance - gain @ covariance[seen]), 0))
    return nats, mean, scale


if __name__ == "__main__":
    main()
