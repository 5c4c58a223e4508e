"""What the manifest says of the held-out rows: intervals, effective numbers, drift."""

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import beta

from app.array import Array
from app.inspection import calibration_lines
from app.manifest import Calibration
from training.calibrate import HeldOut
from training.order import effective_rows, order_of


def correlated(n: int, correlation: float, seed: int) -> Array:
    """[n] readings, each `correlation` times the one before plus news: worth n·(1 − r)/(1 + r) independent ones."""
    news = np.random.default_rng(seed).standard_normal(n + 500)
    return np.asarray(lfilter([1], [1, -correlation], news)[500:])


def account(scores: Array, earlier: Array | None = None, interval: float | None = None) -> Calibration:
    return HeldOut(scores, np.empty((0, 4)), np.zeros(4), earlier).account(interval)


def warnings(calibration: Calibration) -> list[str]:
    return [line for line in calibration_lines(calibration) if line.startswith("warning")]


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.98])
def test_effective_rows_of_a_known_process(correlation: float) -> None:
    """Within a fifth of the closed form of a first-order autoregression, on average over 30 series."""
    exact = 6000 * (1 - correlation) / (1 + correlation)

    found = np.mean([effective_rows(correlated(6000, correlation, seed)) for seed in range(30)])

    assert found == pytest.approx(exact, rel=0.2)


def test_one_far_out_score_does_not_make_rows_independent() -> None:
    """The autocorrelation is that of ranks."""
    scores = correlated(4000, 0.9, seed=0)
    alone = effective_rows(scores)
    scores[1000] = 1e9

    assert effective_rows(scores) == pytest.approx(alone, rel=0.05)


@pytest.mark.parametrize("scores", [np.ones(100), np.array([1.0, 2.0]), np.tile([0.0, 1.0], 50)])
def test_effective_rows_stay_between_one_and_all(scores: Array) -> None:
    """For scores that are all the same, very few, or that alternate."""
    assert 1 <= effective_rows(scores) <= len(scores)


def test_drift_is_found_and_its_absence_is_not() -> None:
    """Of 100 steady correlated series at most 3 are told to move; a shift by one standard deviation always is."""
    told = [account(correlated(3000, 0.8, seed), correlated(3000, 0.8, 500 + seed)) for seed in range(100)]
    moved = account(correlated(3000, 0.8, seed=0) + 5 / 3, correlated(3000, 0.8, seed=1))

    assert sum("scores moved" in " ".join(warnings(each)) for each in told) <= 3
    assert any("between validation and calibration rows" in line for line in warnings(moved))


def test_drift_within_the_held_out_rows_is_found() -> None:
    """Scores that rise from the first to the last held-out row."""
    scores = correlated(4000, 0.5, seed=2) + np.linspace(0, 3, 4000)

    assert any("the two halves of the calibration rows" in line for line in warnings(account(scores, scores[:500])))


def test_the_interval_counts_independent_rows_in_time_order() -> None:
    """A random split's interval is that of n rows, a time split's that of the effective ones, which is wider."""
    scores = correlated(5000, 0.9, seed=3)

    mixed, ordered = account(scores), account(scores, correlated(1000, 0.9, seed=4))

    assert mixed.order is not None
    assert ordered.order is not None
    effective = ordered.order.effective_rows
    for calibration, n in ((mixed, 5000), (ordered, effective)):
        exact = beta.ppf([0.05, 0.95], 0.01 * (n + 1), 0.99 * (n + 1))
        np.testing.assert_allclose(calibration.realised_rate_90, exact, rtol=1e-6)
    assert effective < 500
    assert any("neighbouring rows score alike" in line for line in warnings(mixed))


def test_exchangeable_rows_are_not_warned_of() -> None:
    """Independent scores, in either split."""
    scores = np.random.default_rng(5).gamma(10, size=4000)

    assert warnings(account(scores)) == warnings(account(scores[1000:], scores[:1000])) == []


def test_few_rows_have_no_tail() -> None:
    """With 999 rows p-values are ranks, and the interval is Beta(10, 990)."""
    calibration = account(np.random.default_rng(6).gamma(10, size=999))

    assert calibration.tail is None
    np.testing.assert_allclose(calibration.realised_rate_90, beta.ppf([0.05, 0.95], 10, 990), rtol=1e-9)
    assert any(
        "no rate below 0.001 can be asked for (there is no tail)" in line for line in calibration_lines(calibration)
    )


def test_alarms_a_day_need_to_know_the_interval() -> None:
    """A row every ten minutes at 1 % is 1.44 alarms a day; without an interval nothing is said of days."""
    scores = np.random.default_rng(7).gamma(10, size=2000)

    assert any(line.startswith("1.44 false alarms a day") for line in calibration_lines(account(scores, None, 600.0)))
    assert not any("a day" in line for line in calibration_lines(account(scores)))


def test_a_random_split_tests_no_shift() -> None:
    """It mixes what would move."""
    order = order_of(np.arange(1000.0), None)

    assert (order.split, order.shifts) == ("random", ())
    assert order.effective_rows < 10
