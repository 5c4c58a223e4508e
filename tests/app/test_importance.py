"""Importance weights against the exact answers of a linear Gaussian model: its bound, its bands, its samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from app.array import Array
from app.engine import Engine
from app.importance import bound, shares
from tests.conftest import plant_rows

SEEN = [0, 2]


def planted() -> tuple[Array, Array]:
    """Mean [3] and covariance [3, 3] of the density that the plant's model has in closed form."""
    train = plant_rows(2000, seed=1)[:, :3]
    values, vectors = np.linalg.eigh(np.corrcoef(train.T))
    correlation = vectors[:, 1:] @ np.diag(values[1:] - values[0]) @ vectors[:, 1:].T + values[0] * np.eye(3)
    return train.mean(axis=0), correlation * np.outer(train.std(axis=0), train.std(axis=0))


def holed_rows(count: int) -> Array:
    """Rows of the plant without their pressure, [count, 4]."""
    x = plant_rows(count, seed=21)
    x[:, 1] = np.nan
    return x


def exact_conditional(x: Array) -> tuple[Array, float]:
    """Mean [n] and scale of the pressure given the other sensors."""
    mean, covariance = planted()
    gain = covariance[1, SEEN] @ np.linalg.inv(covariance[np.ix_(SEEN, SEEN)])
    return mean[1] + (x[:, SEEN] - mean[SEEN]) @ gain, float(np.sqrt(covariance[1, 1] - gain @ covariance[SEEN, 1]))


def test_the_bound_is_the_score_where_the_posterior_is_exact(plant_engine: Engine) -> None:
    """On complete rows of a linear model every weight is p(x): one draw is enough, and there is no error."""
    x = plant_rows(100, seed=20)

    found = plant_engine.bound(x, draws=1, seed=3)

    np.testing.assert_allclose(found.value, plant_engine.score(x).score, atol=1e-3)
    assert found.error.max() < 1e-3


def test_the_bound_of_rows_with_missing_sensors_is_exact(plant_engine: Engine) -> None:
    """It is the negative log-likelihood of the observed sensors, and so is the score: a linear model leaves no gap."""
    x = holed_rows(300)
    mean, covariance = planted()
    exact = -multivariate_normal(mean[SEEN], covariance[np.ix_(SEEN, SEEN)]).logpdf(x[:, SEEN])

    found = plant_engine.bound(x, draws=16, seed=0)

    np.testing.assert_allclose(found.value, exact, atol=1e-4)
    np.testing.assert_allclose(plant_engine.score(x).score, exact, atol=1e-4)


def test_a_bound_does_not_depend_on_the_rows_beside_it(plant_engine: Engine) -> None:
    """The same seed makes the same draws for every row, and fewer draws are the first of more."""
    x = holed_rows(50)

    together, alone = plant_engine.bound(x, 100, seed=5), plant_engine.bound(x[7:8], 100, seed=5)

    assert together.value[7] == alone.value[0]
    assert together.error[7] == alone.error[0]


def test_nothing_observed_has_a_bound_of_nothing(plant_engine: Engine) -> None:
    """p of no sensor is 1."""
    found = plant_engine.bound(np.full((1, 4), np.nan), draws=8, seed=0)

    assert (found.value.tolist(), found.error.tolist()) == ([0], [0])


def test_where_only_constant_sensors_are_observed_the_bound_is_the_score(plant_engine: Engine) -> None:
    """Nothing at rest, and what a moved valve costs, whatever the draws."""
    x = np.full((2, 4), np.nan)
    x[:, 3] = 3.0, 3.1

    found, score = plant_engine.bound(x, draws=8, seed=0), plant_engine.score(x).score

    np.testing.assert_allclose(found.value, score, rtol=1e-12)
    assert (score[0], score[1] > 1) == (0, True)


def test_a_missing_sensor_is_reconstructed_given_the_others(plant_engine: Engine) -> None:
    """Its mean and its scale are those of the exact conditional."""
    x = holed_rows(500)
    mean, scale = exact_conditional(x)

    found = plant_engine.reconstruct(x)

    np.testing.assert_allclose(found.mean[:, 1], mean, atol=1e-3 * scale)
    np.testing.assert_allclose(found.scale[:, 1], scale, rtol=1e-3)


def test_a_constant_sensor_is_completed_at_rest(plant_engine: Engine) -> None:
    """The valve never moved in training, so no drawn row moves it."""
    x = holed_rows(1)
    x[:, 3] = np.nan

    assert (plant_engine.complete(x, count=50, seed=2)[:, 3] == 3.0).all()


def test_a_row_is_completed_from_the_conditional(plant_engine: Engine) -> None:
    """Drawn values are near the exact conditional's mean and scale; observed ones stay as they are, to the bit."""
    x = holed_rows(1)
    mean, scale = exact_conditional(x)

    drawn = plant_engine.complete(x, count=4000, seed=2)

    assert (drawn[:, [0, 2, 3]] == x[:, [0, 2, 3]]).all()
    assert drawn[:, 1].mean() == pytest.approx(mean[0], abs=0.1 * scale)
    assert drawn[:, 1].std() == pytest.approx(scale, rel=0.05)
    assert (plant_engine.complete(x, count=10, seed=2) == drawn[:10]).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_shares_add_up_and_bounds_lie_between_the_weights(log_weight: list[float]) -> None:
    """Whatever the weights: shares are from 0 to 1 with the sum 1, and −bound is between the least and the largest."""
    weights = np.array([log_weight])

    share = shares(weights)
    found = bound(weights, len(log_weight))

    assert share.min() >= 0
    assert share.sum() == pytest.approx(1)
    assert min(log_weight) - 1e-6 <= -found.value[0] <= max(log_weight) + 1e-6
    assert np.isfinite(found.error[0])
    assert found.error[0] >= 0
