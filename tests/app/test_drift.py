"""The drift against what is known of it: healthy plants, rows that moved, processes that saw a part each."""

from collections.abc import Iterator
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import mannwhitneyu

from app.array import Array
from app.bundle import Bundle
from app.drift import THRESHOLD, WINDOW, Fading, Memory
from app.manifest import Order, Provenance

SEEDS = 300


def independent(n: int) -> Fading:
    """For a model with so many held-out rows, all independent."""
    return Fading(rank=1 / (n + 1), dependence=1.0, independent=n)


def ranks(held_out: Array, score: Array) -> Array:
    """The p-values of scores [m] among held-out ones [n], as `app.ranking` has them."""
    at_least = len(held_out) - np.searchsorted(np.sort(held_out), score, side="left")
    return np.asarray((1 + at_least) / (len(held_out) + 1))


def drifts(fading: Fading, p_value: Array, rows: int = 100) -> Iterator[float]:
    """The drift after each so many rows."""
    memory = Memory()
    for start in range(0, len(p_value), rows):
        memory = fading.after(memory, p_value[start : start + rows])
        yield memory.drift


@pytest.fixture(scope="module")
def healthy() -> Array:
    """The drift [seeds, 50] of healthy plants, each with 1000 held-out rows of its own, over ten windows."""
    generator = np.random.default_rng(0)
    return np.array(
        [
            [*drifts(independent(1000), ranks(generator.standard_normal(1000), generator.standard_normal(10 * WINDOW)))]
            for _ in range(SEEDS)
        ]
    )


def test_it_is_in_standard_deviations(healthy: Array) -> None:
    """Of healthy plants it is N(0, 1), the error of their held-out rows included."""
    last = healthy[:, -1]

    assert abs(last.mean()) < 3 / SEEDS**0.5
    assert 0.85 < last.std() < 1.15
    assert (last > 2.326).mean() < 0.04


def test_a_healthy_plant_passes_the_threshold_as_rarely_as_is_told(healthy: Array) -> None:
    """Once in about 900 windows on the average: of 300 plants over ten windows hardly more than three."""
    assert (healthy.max(axis=1) > THRESHOLD).sum() <= 9
    assert (healthy.max(axis=1) > 2.5).sum() > 9


@pytest.mark.parametrize(("shift", "rows"), [(0.4, 1500), (0.5, 600), (1.0, 100), (3.0, 100)])
def test_a_shift_is_found(shift: float, rows: int) -> None:
    """After a long healthy while, within so many rows; scores that fall are told by the sign."""
    generator = np.random.default_rng(1)
    held_out, before = generator.standard_normal(5000), generator.standard_normal(3000)
    shifted = generator.standard_normal(rows) + shift

    for sign in (1, -1):
        *_, last = drifts(independent(5000), ranks(held_out, np.concatenate([before, sign * shifted])))
        assert sign * last > THRESHOLD


def test_without_fading_it_is_the_rank_sum_test() -> None:
    """Of few rows, whose weights have hardly faded, it is the z of Mann and Whitney's test."""
    generator = np.random.default_rng(2)
    held_out, score = generator.standard_normal(10**6), generator.standard_normal(20) + 0.3
    slow = Fading(rank=1 / (10**6 + 1), dependence=1.0, independent=10**6)

    u = mannwhitneyu(score, held_out, alternative="greater", method="asymptotic", use_continuity=False)
    z = (u.statistic - 20 * 10**6 / 2) / (20 * 10**6 * (20 + 10**6 + 1) / 12) ** 0.5
    (found,) = drifts(slow, ranks(held_out, score))

    assert abs(found - z) < 0.05


def test_rows_that_depend_on_each_other_are_no_drift() -> None:
    """A healthy plant whose score wanders for 50 rows: counted as independent it would be drift in most runs."""
    generator = np.random.default_rng(3)
    passes = {1.0: 0, 99.0: 0}
    for _ in range(60):
        score = lfilter([(1 - 0.98**2) ** 0.5], [1, -0.98], generator.standard_normal(20_000))
        p_value = ranks(generator.standard_normal(5000), score)
        for dependence in passes:  # (1 + 0.98) / (1 − 0.98) rows are worth one
            fading = Fading(rank=1 / 5001, dependence=dependence, independent=5000)
            passes[dependence] += max(map(abs, drifts(fading, p_value))) > THRESHOLD

    assert passes[99.0] <= 1
    assert passes[1.0] > 30


@pytest.mark.parametrize("n", [1, 10, 999])
def test_every_rank_once_is_no_drift(n: int) -> None:
    """A p-value counts as the middle of those it stands for, so that ranks have the mean ½ exactly."""
    p_value = (1 + np.arange(n + 1)) / (n + 1)
    fading = Fading(rank=1 / (n + 1), dependence=1.0, independent=1e12)

    together = sum(fading.after(Memory(), p_value[[row]]).excess for row in range(n + 1))

    assert abs(together) < 1e-9


def test_ties_and_floors_hide_drift_and_make_none() -> None:
    """Scores that take three values only, and p-values that end at 1 in 100."""
    generator = np.random.default_rng(4)
    for _ in range(50):
        held_out, score = generator.integers(0, 3, 1000).astype(float), generator.integers(0, 3, 5000).astype(float)
        assert max(drifts(independent(1000), ranks(held_out, score))) < THRESHOLD
        uniform = np.maximum(generator.uniform(size=5000), 0.01)
        assert max(drifts(independent(1000), uniform)) < THRESHOLD


@given(st.lists(st.floats(1e-5, 1), min_size=1, max_size=60), st.data())
def test_it_does_not_matter_how_rows_are_cut(p_values: list[float], data: st.DataObject) -> None:
    """All at once or in pieces, what is remembered is the same."""
    cut = data.draw(st.integers(0, len(p_values)))
    p_value, fading = np.array(p_values), independent(50)

    whole = fading.after(Memory(), p_value)
    pieces = fading.after(fading.after(Memory(), p_value[:cut]), p_value[cut:])

    assert np.allclose(astuple(whole), astuple(pieces), atol=1e-9)


def test_what_processes_remember_adds_up() -> None:
    """Each of four sees every fourth row; the sum is N(0, 1) of healthy plants too, and finds a shift."""
    generator = np.random.default_rng(5)
    healthy, moved = [], []
    for _ in range(SEEDS):
        held_out, score = generator.standard_normal(1000), generator.standard_normal(4000)
        for shift, found in ((0.0, healthy), (0.5, moved)):
            p_value = ranks(held_out, score + shift)
            parts = [independent(1000).after(Memory(), p_value[worker::4]) for worker in range(4)]
            found.append(Memory(*map(sum, zip(*map(astuple, parts), strict=True))).drift)

    assert 0.85 < np.std(healthy) < 1.15
    assert min(moved) > THRESHOLD


def test_a_model_tells_how_its_rows_depend_on_each_other(plant: Bundle) -> None:
    """Held out in order, as the manifest says; held out at random, longer by the rows that were left out between."""
    rows = {"train": 700, "validation": 100, "calibration": 200}
    provenance = Provenance.model_validate(plant.manifest.provenance.model_dump() | {"rows": rows})
    found = {}
    for split in ("time", "random"):
        order = Order(split=split, effective_rows=50.0, shifts=())
        calibration = plant.manifest.calibration.model_copy(update={"rows": 200, "order": order})
        manifest = plant.manifest.model_copy(update={"calibration": calibration, "provenance": provenance})
        found[split] = Fading.of(manifest)

    assert found["time"] == Fading(rank=1 / 201, dependence=4.0, independent=50.0)
    assert found["random"] == replace(found["time"], dependence=20.0)


def test_before_the_first_row_there_is_no_drift() -> None:
    """And nothing is divided by 0."""
    assert Memory().drift == 0.0
    assert independent(9).after(Memory(), np.array([])) == Memory()
