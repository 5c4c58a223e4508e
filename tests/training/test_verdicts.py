"""Numbers in plain words: what is fine is called good, and what is not says what to try."""

import pytest

from app.manifest import TrainingPoint
from app.report import Gap, Latents, SensorFit, Suspect, Suspects, Threshold
from training import verdicts


def points(*nats: tuple[float, float]) -> list[TrainingPoint]:
    """A density's curve, one pair of training and validation nats every 100 steps, and the next stage's first point."""
    density = [
        TrainingPoint(stage="density", step=100 * step, train_nats=train, validation_nats=validation)
        for step, (train, validation) in enumerate(nats, start=1)
    ]
    return [*density, TrainingPoint(stage="refit", step=1, train_nats=99.0, validation_nats=None)]


FALLING = [(10.0 - step, 10.0 - step) for step in range(10)]
LEVEL = [*FALLING, *[(1.0, 1.0)] * 10]


@pytest.mark.parametrize(
    ("curve", "good", "word"),
    [(FALLING, False, "more steps"), (LEVEL, True, "level"), ([(x - 5, y) for x, y in LEVEL], False, "smaller width")],
)
def test_a_curve_is_level_still_falling_or_overfitted(curve: list[tuple[float, float]], good: bool, word: str) -> None:
    """Of the stage that fits the density, whatever the next one did."""
    (verdict,) = verdicts.curve(points(*curve), sensors=5)

    assert verdict.good == good
    assert word in verdict.text


@pytest.mark.parametrize(
    ("curve", "refit", "word"),
    [
        ([], 0, "stage 'density' at step 0 of at most 5000"),
        (FALLING, 0, "stage 'density' at step 1000 of at most 5000"),
        (LEVEL + [(1.0, 1.0)] * 5, 999, "stage 'refit' was at its end, at step 999 of 1000"),
    ],
)
def test_a_run_without_the_time_it_needs_is_told(curve: list[tuple[float, float]], refit: int, word: str) -> None:
    """Where it stopped, and how far it was to go."""
    *density, last = points(*curve)
    told = [*density, last.model_copy(update={"step": refit})]
    (verdict,) = verdicts.run(told, most=5000, refits=True)

    assert not verdict.good
    assert word in verdict.text


@pytest.mark.parametrize("refits", [True, False])
def test_a_run_that_came_to_its_end_has_no_verdict_on_that(refits: bool) -> None:
    """By its steps, or since the validation rows gained no more; in time order without a refit."""
    *density, last = points(*LEVEL, *[(1.0, 1.0)] * 5)
    told = [*density, last.model_copy(update={"step": 1000})] if refits else density

    assert verdicts.run(told, most=5000, refits=refits) == []
    assert verdicts.run(points(*LEVEL)[:-1], most=2000, refits=False) == []


def test_no_curve_no_verdict() -> None:
    """A model that was planted was not trained."""
    assert verdicts.curve([], sensors=5) == []


@pytest.mark.parametrize(
    ("active", "size", "sensors", "good", "word"),
    [
        (0, 3, 8, False, "none is active"),
        (3, 3, 8, False, "larger latent_size"),
        (3, 3, 4, True, "all 3"),
        (2, 3, 8, True, "2 of 3"),
    ],
)
def test_latents_are_too_few_enough_or_dead(active: int, size: int, sensors: int, good: bool, word: str) -> None:
    """All in use with room for more, all there can be, some to spare, none in use."""
    found = Latents(rows=10, active=active, variance=(0.0,) * size, kl=(0.0,) * size)
    (verdict,) = verdicts.latents(found, sensors)

    assert verdict.good == good
    assert word in verdict.text


@pytest.mark.parametrize(("nats", "good"), [(0.3, True), (3.0, False)])
def test_a_gap_is_tight_or_not(nats: float, good: bool) -> None:
    """One nat is the limit."""
    (verdict,) = verdicts.gap(Gap(rows=500, draws=128, nats=nats, error=0.1))

    assert verdict.good == good


@pytest.mark.parametrize(
    ("coverage", "readings", "good", "word"),
    [
        ((0.5, 0.9, 0.99), 500, True, "cover what they say"),
        ((0.45, 0.87, 0.98), 500, True, "cover what they say"),
        ((0.4, 0.7, 0.8), 500, False, "too narrow for 's0' (80.0% in the 99% band)"),
        ((0.4, 0.7, 0.8), 5, True, "cover what they say"),
        ((0.7, 0.99, 1.0), 500, True, "more than they say"),
    ],
)
def test_bands_are_judged_by_how_sure_one_can_be(
    coverage: tuple[float, float, float], readings: int, good: bool, word: str
) -> None:
    """A few per cent do not matter, chance is allowed for, and only narrow bands are bad."""
    fits = [SensorFit(name="s0", floor=0.1, at_floor=0.0, readings=readings, coverage=coverage)]
    (verdict,) = verdicts.bands(fits)

    assert verdict.good == good
    assert word in verdict.text


def test_many_sensors_are_counted_not_listed() -> None:
    """A verdict names five and counts the rest."""
    fits = [SensorFit(name=f"s{d}", floor=0.1, at_floor=1.0, readings=9, coverage=(1.0, 1.0, 1.0)) for d in range(9)]
    (verdict,) = verdicts.floor(fits)

    assert not verdict.good
    assert "'s4' (100%) and 4 more" in verdict.text


@pytest.mark.parametrize(("without", "last", "good"), [(30.5, 20.0, True), (20.0, 20.0, False), (30.5, 2.0, False)])
def test_rows_that_stand_apart_or_move_the_threshold_are_worth_a_look(without: float, last: float, good: bool) -> None:
    """The oddest row is named by its line, and the threshold told with and without the oddest."""
    row = Suspect(row=7, line=8, part="calibration", excess=50.0, score=60.0, sensor="flow", nats=40.0)
    other = row.model_copy(update={"row": 8, "line": 9, "excess": last})
    before, after = (Threshold(rows=n, false_alarm_rate=0.01, nats=nats) for n, nats in ((500, 31.0), (499, without)))
    (verdict,) = verdicts.rows(Suspects(rows=(row, other), threshold=before, threshold_without=after))

    assert verdict.good == good
    assert "line 8, 50 nats above the median, most surprising in 'flow'" in verdict.text
