"""p-values and thresholds, with and without a tail: order, ends, ties, and the two ways between score and p-value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import genpareto

from app.array import Array
from app.errors import InvalidContent
from app.manifest import Tail
from app.ranking import MAX_RATE, Ranking
from app.tail import fit_tail, tail_scores

# Light and heavy tails, one that ends, one without a mean, and scores that are all the same.
FAMILIES = ("gamma", "uniform", "pareto", "no mean", "constant")


def draw(family: str, n: int, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    return {
        "gamma": lambda: generator.gamma(10, size=n),
        "uniform": lambda: generator.uniform(size=n),
        "pareto": lambda: generator.pareto(3, size=n),
        "no mean": lambda: generator.pareto(0.4, size=n),
        "constant": lambda: np.ones(n),
    }[family]()


@st.composite
def rankings(draw_from: st.DrawFn) -> Ranking:
    """Held-out scores at −1000, 2 or a million nats, in steps that make few or many of them equal."""
    n = draw_from(st.integers(20, 4000))
    scores = draw(draw_from(st.sampled_from(FAMILIES)), n, draw_from(st.integers(0, 1000)))
    step = draw_from(st.sampled_from([0.0, 0.01, 0.5]))
    scores = np.round(scores / step) * step if step else scores
    held_out = np.sort(draw_from(st.sampled_from([-1e3, 2.0, 1e6])) + np.minimum(scores, 990.0))
    return Ranking(held_out, fit_tail(held_out))


def places(ranking: Ranking) -> Array:
    """Where something may go wrong: held-out scores, between and beside them, the join, the knots, the far ends."""
    held_out = ranking.held_out
    around = [held_out, (held_out[1:] + held_out[:-1]) / 2, held_out[-1] + np.geomspace(1e-9, 1e60, 200), [-1e60]]
    if ranking.tail is not None:
        p_value = np.geomspace(ranking.tail.p_value, ranking.tail.least_rate, 101)
        around.append(tail_scores(ranking.tail, p_value))
    some = np.concatenate(around)
    return np.sort(np.concatenate([some, np.nextafter(some, math.inf), np.nextafter(some, -math.inf)]))


@given(ranking=rankings())
def test_a_p_value_never_rises_with_the_score(ranking: Ranking) -> None:
    """To the last bit, across the join and in ties; and it stays between the least rate and 1."""
    p_value = ranking.p_value(places(ranking))

    assert (np.diff(p_value) <= 0).all()
    assert p_value[0] == 1
    assert p_value[-1] == ranking.least_rate


@given(ranking=rankings(), share=st.floats(0, 1))
def test_the_threshold_is_where_the_alarm_begins(ranking: Ranking, share: float) -> None:
    """The p-value is at most the rate from the threshold on, and above it just below, for every rate there may be."""
    rate = ranking.least_rate ** (1 - share) * MAX_RATE**share
    rate = min(max(rate, ranking.least_rate), MAX_RATE)

    threshold = ranking.threshold(rate)

    beside = np.array([math.nextafter(threshold, -math.inf), threshold])
    score = np.concatenate([places(ranking), beside])
    assert ((ranking.p_value(score) <= rate) == (score >= threshold)).all()


@given(ranking=rankings())
def test_the_threshold_of_a_p_value_is_not_above_its_score(ranking: Ranking) -> None:
    """A score's own p-value, asked for as a rate, alarms at this score; also at the join and at the ends."""
    held_out = ranking.held_out
    for score in [held_out[-1], held_out[len(held_out) // 2], ranking.tail.score if ranking.tail else held_out[-1]]:
        rate = float(ranking.p_value(np.array([score]))[0])
        if rate <= MAX_RATE:
            assert ranking.threshold(rate) <= score


@pytest.mark.parametrize("rate", [0.0, -1.0, 1 / 60_001, 0.500001, math.nan, math.inf])
def test_a_rate_that_nobody_can_vouch_for_is_refused(rate: float) -> None:
    """6000 rows with a tail go down to 1/60000; the refusal tells the limits, and why of a rate that is too low."""
    held_out = np.sort(draw("gamma", 6000, seed=1))
    ranking = Ranking(held_out, fit_tail(held_out))

    with pytest.raises(InvalidContent, match=r"expected from 1.66667e-05 to 0.5") as refused:
        ranking.threshold(rate)

    assert refused.value.code == "rate-out-of-range"
    assert ("6000 held-out rows" in refused.value.detail) == (rate == 1 / 60_001)


@pytest.mark.parametrize("shape", [-0.4, 0.0, 0.3])
def test_the_tail_is_the_generalised_pareto_distribution(shape: float) -> None:
    """Beyond the join p is p₀ times scipy's survival function, to 2e-5 of it."""
    tail = Tail(score=30.0, p_value=0.02, shape=shape, scale=2.0, exceedances=100, least_rate=1e-5)
    ranking = Ranking(np.arange(10.0), tail)
    score = 30 + np.geomspace(1e-3, 4, 50)

    np.testing.assert_allclose(ranking.p_value(score), 0.02 * genpareto.sf(score - 30, shape, scale=2), rtol=2e-5)


def test_the_tail_takes_over_without_a_jump() -> None:
    """Just above the join p is what it is at the join; half a nat above it is less."""
    held_out = np.sort(draw("gamma", 6000, seed=2))
    tail = fit_tail(held_out)
    assert tail is not None
    join = np.array([tail.score, tail.score + 1e-9, tail.score + 0.5])

    at, beside, above = Ranking(held_out, tail).p_value(join)

    assert at == tail.p_value == (1 + (held_out >= tail.score).sum()) / 6001 <= 0.02
    assert beside == pytest.approx(at, rel=1e-8)
    assert above < 0.9 * at


def test_a_tail_that_does_not_fall_is_no_tail() -> None:
    """A manifest with one does not read."""
    with pytest.raises(ValueError, match="least_rate is not below p_value"):
        Tail(score=30.0, p_value=0.02, shape=0.0, scale=2.0, exceedances=100, least_rate=0.02)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.4])
def test_the_shape_and_scale_of_a_known_tail_are_found(shape: float) -> None:
    """On average over 200 samples with 400 exceedances, within 0.06 and 6 %."""
    generator = np.random.default_rng(3)
    tails = [fit_tail(np.sort(genpareto.rvs(shape, size=20_000, random_state=generator))) for _ in range(200)]

    found = np.mean([(tail.shape, tail.scale) for tail in tails if tail is not None], axis=0)

    # Above a level with survival S a generalised Pareto tail is one of the same shape and of scale S^(−shape).
    np.testing.assert_allclose(found[0], shape, atol=0.06)
    np.testing.assert_allclose(found[1], 0.02**-shape, rtol=0.06)


@pytest.mark.parametrize(
    ("family", "n"), [("gamma", 1400), ("constant", 5000), ("no mean", 5000)], ids=["few", "all the same", "no mean"]
)
def test_what_can_vouch_for_no_tail_has_none(family: str, n: int) -> None:
    """Too few exceedances, none at all, or a tail without a mean: the ranks alone decide, down to 1/(n + 1)."""
    held_out = np.sort(draw(family, n, seed=4))

    tail = fit_tail(held_out)

    assert tail is None
    assert Ranking(held_out, tail).least_rate == 1 / (n + 1)
