"""What a p-value promises: at most α of healthy rows have p ≤ α, complete or with holes, alone or reported together."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import chi2

from app import bundle
from app.array import Array
from app.bundle import Bundle
from app.calibration import Calibration, discoveries
from app.engine import Engine
from app.errors import InvalidContent
from app.manifest import Manifest
from app.ranking import Ranking
from app.tail import fit_tail
from tests.conftest import plant_rows

REPEATS = 200
RATES = (0.1, 0.05, 0.01)
WHOLE = np.array([True, True, True, True])
HOLED = np.array([True, False, True, False])


@pytest.fixture(scope="module")
def calibration(tailed: Bundle) -> Calibration:
    return Calibration(tailed.path / bundle.CALIBRATION, Engine(tailed))


def ranked(held_out: Array) -> Ranking:
    held_out = np.sort(held_out)
    return Ranking(held_out, fit_tail(held_out))


def chi_square_nats(generator: np.random.Generator, n: int) -> Array:
    """Scores of 20 standard normal sensors: ½ χ²₂₀."""
    return generator.chisquare(20, n) / 2


def scores_of(made: Bundle, x: Array) -> Array:
    return Engine(made).score(x).score


def hold(shares: Array, rate: float) -> bool:
    """Whether the mean of shares [repeats] is at most the rate plus two standard errors."""
    return bool(shares.mean() <= rate + 2 * shares.std(ddof=1) / len(shares) ** 0.5)


@pytest.mark.parametrize("n", [199, 2000, 5000])
def test_p_values_hold_for_closed_form_scores(n: int) -> None:
    """P(p ≤ α) ≤ α + 2 standard errors over 200 calibrations, by ranks alone and with a tail."""
    generator = np.random.default_rng(n)
    rankings = [ranked(chi_square_nats(generator, n)) for _ in range(REPEATS)]

    for rate in RATES:
        realised = np.array([chi2.sf(2 * ranking.threshold(rate), 20) for ranking in rankings])
        assert hold(realised, rate), (rate, realised.mean())


@pytest.mark.parametrize("pattern", [WHOLE, HOLED], ids=["complete", "with nulls"])
def test_p_values_hold_on_a_real_bundle(plant_engine: Engine, pattern: npt.NDArray[np.bool_]) -> None:
    """The same of 200 times 2000 held-out and 500 new rows, scored by the exported graph under one pattern."""
    realised = np.empty((REPEATS, len(RATES)))
    for repeat in range(REPEATS):
        x = np.where(pattern, plant_rows(2500, seed=10_000 + repeat), np.nan)
        score = plant_engine.score(x).score
        p_value = ranked(score[:2000]).p_value(score[2000:])
        realised[repeat] = [(p_value <= rate).mean() for rate in RATES]

    for rate, shares in zip(RATES, realised.T, strict=True):
        assert hold(shares, rate), (rate, shares.mean())


def test_the_tail_reaches_the_closed_form() -> None:
    """From 10,000 scores ½ χ²₂₀ the threshold of 1e-4 is within 26.19 ± 2.5 nats in at least 95 % of 200 runs."""
    generator = np.random.default_rng(0)
    exact = chi2.isf(1e-4, 20) / 2

    found = np.array([ranked(chi_square_nats(generator, 10_000)).threshold(1e-4) for _ in range(REPEATS)])

    assert exact == pytest.approx(26.19, abs=0.005)
    assert (np.abs(found - exact) <= 2.5).mean() >= 0.95


def test_discoveries_are_false_at_most_as_often_as_asked() -> None:
    """Benjamini-Hochberg at 0.1 on 200 batches of 90 healthy and 10 faulty rows, ranked with a tail."""
    generator = np.random.default_rng(1)
    false_shares = np.empty(REPEATS)
    found = 0
    for repeat in range(REPEATS):
        score = chi_square_nats(generator, 100)
        score[:10] += 15
        reported = discoveries(ranked(chi_square_nats(generator, 2000)).p_value(score), 0.1)
        false_shares[repeat] = reported[10:].sum() / max(1, reported.sum())
        found += int(reported[:10].sum())

    assert hold(false_shares, 0.1), false_shares.mean()
    assert found > 0.9 * 10 * REPEATS


def test_each_pattern_has_a_tail_of_its_own(calibration: Calibration, tailed: Bundle) -> None:
    """A far row's p-value is the least that its pattern's held-out rows vouch for: 6000 complete, 2000 with holes."""
    far = np.where([WHOLE, HOLED], 1e6, np.nan)

    verdict = calibration.judge(far, scores_of(tailed, far), 1e-4)

    np.testing.assert_allclose(verdict.p_value, [1 / 60_000, 1 / 20_000])
    assert verdict.alarm.all()
    assert verdict.threshold[0] != verdict.threshold[1]


def test_the_alarm_is_at_the_threshold_under_every_pattern(calibration: Calibration, tailed: Bundle) -> None:
    """alarm, p ≤ rate and score ≥ threshold are one thing, at rates of the ranks and of the tail."""
    x = plant_rows(2000, seed=30)
    x[::3, 1] = np.nan
    x[::5, 0] += 8
    score = scores_of(tailed, x)

    for rate in (0.2, 0.01, 1e-3, 1e-4):
        verdict = calibration.judge(x, score, rate)
        assert (verdict.alarm == (score >= verdict.threshold)).all()
        assert (verdict.alarm == (verdict.p_value <= rate)).all()
        assert verdict.alarm.any()


def test_a_row_of_nulls_is_no_reason_to_refuse_a_small_rate(calibration: Calibration) -> None:
    """Nothing observed has no tail, and needs none; yet a rate that no row can have is refused with it too."""
    nothing, score = np.full((1, 4), np.nan), np.zeros(1)

    verdict = calibration.judge(nothing, score, 2e-5)

    assert (verdict.p_value.tolist(), verdict.alarm.tolist()) == ([1.0], [False])
    with pytest.raises(InvalidContent, match=r"expected from 1.66667e-05 to 0.5"):
        calibration.judge(nothing, score, 1e-5)


def test_a_bundle_without_a_tail_ranks_only(plant: Bundle) -> None:
    """A calibration may have too few rows for one, and its least rate is 1/(n + 1) then."""
    old = plant.manifest.model_dump_json(exclude={"calibration": {"tail", "order", "interval_seconds"}})

    manifest = Manifest.model_validate_json(old)

    assert (manifest.calibration.tail, manifest.calibration.least_rate) == (None, 1 / 1000)
