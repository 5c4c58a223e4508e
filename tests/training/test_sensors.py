"""Difficult sensors: each kind is found and told, none of them breaks training, and none buys density without end."""

import numpy as np
import pytest
import torch

from app.array import Array
from app.bundle import Bundle
from app.calibration import Calibration
from app.engine import Engine
from app.report import DifficultSensor
from tests.conftest import plant_rows
from training.config import Config, Limits
from training.data import describe
from training.diagnostics import floors
from training.graphs import Graphs
from training.questions import Score
from training.sensors import difficult
from training.standardise import standardise
from training.train import train

ROWS = 1200


def column(kind: str, seed: int = 0, rows: int = ROWS) -> Array:
    """One sensor [rows] that follows the plant's temperature in its own way."""
    x = (plant_rows(rows, seed)[:, 0] - 20) / 2
    generator = np.random.default_rng(seed + 1000)
    noise = generator.standard_normal(rows)
    return {
        "constant": np.full(rows, 0.1),
        "constant, rounded": 0.1 + 1e-17 * generator.integers(0, 2, rows),
        "two-valued": (x + 0.1 * noise > 0.5).astype(float),
        "two-valued, noisy": (x + 0.1 * noise > 0.5) + 1e-7 * noise,
        "two-valued, rare": (np.arange(rows) % 300 == 7).astype(float),
        "stepped": np.round(x),
        "stepped, finely": np.round(x / 0.1) * 0.1,
        "saturated": np.minimum(x + 0.1 * noise, 0.5),
        "saturated, mostly": np.minimum(x + 0.1 * noise, -1.0),
        "heavy-tailed": np.exp(2 * x),
        "heavy-tailed, by one": np.where(np.arange(rows) == 5, 1e30, x),
        "duplicated": 5 - 3 * plant_rows(rows, seed)[:, 0],
        "duplicated, rounded": np.round(plant_rows(rows, seed)[:, 0], 2),
    }[kind]


KINDS = (
    "constant",
    "constant, rounded",
    "two-valued",
    "two-valued, noisy",
    "two-valued, rare",
    "stepped",
    "stepped, finely",
    "saturated",
    "saturated, mostly",
    "heavy-tailed",
    "heavy-tailed, by one",
    "duplicated",
    "duplicated, rounded",
)


def difficulties(x: Array) -> tuple[DifficultSensor, ...]:
    """What is found in rows x."""
    return difficult(x, describe(x, [f"s{d}" for d in range(x.shape[1])], [None] * x.shape[1]), np.ones(x.shape[1]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_difficult_sensor_is_found_and_its_neighbours_are_not(kind: str) -> None:
    """Of three plain sensors and a difficult one, the difficult one is named, by what it is."""
    x = np.column_stack([plant_rows(ROWS, seed=0)[:, :3], column(kind)])

    found = difficulties(x)

    assert {sensor.name for sensor in found} == {"s3"}
    assert kind.partition(",")[0] in {sensor.kind for sensor in found}


@pytest.mark.parametrize("rows", [60, 1200, 12_000])
def test_plain_sensors_are_not_difficult(rows: int) -> None:
    """A normal, a uniform, an exponential and a bimodal sensor pass, and so does one that follows another closely."""
    generator = np.random.default_rng(rows)
    normal = generator.standard_normal(rows)
    x = np.column_stack(
        [
            normal,
            generator.random(rows),
            generator.exponential(size=rows),
            generator.standard_normal(rows) + 6 * generator.integers(0, 2, rows),
            normal + 0.1 * generator.standard_normal(rows),
        ]
    )

    assert difficulties(x) == ()


def test_one_far_row_does_not_make_copies() -> None:
    """Where a logger wrote −999 to every sensor once, values correlate to 1, and nothing is a copy."""
    x = plant_rows(ROWS, seed=0)[:, :3]
    x[17] = -1e6

    assert {sensor.kind for sensor in difficulties(x)} == {"heavy-tailed"}


def test_missing_readings_are_no_difficulty() -> None:
    """With a third of the readings missing, a copy is still found and plain sensors still pass."""
    x = np.column_stack([plant_rows(ROWS, seed=0)[:, :3], column("duplicated")])
    x[np.random.default_rng(0).random(x.shape) < 0.3] = np.nan

    assert [(sensor.name, sensor.kind) for sensor in difficulties(x)] == [("s3", "duplicated")]


def fitted(x: Array, steps: int) -> Score:
    """A small model fitted to rows x in so many steps."""
    sensors = describe(x, [f"s{d}" for d in range(x.shape[1])], [None] * x.shape[1])
    rows = standardise(x, sensors)
    config = Config(width=16, components=5, steps=steps)
    torch.set_num_threads(1)
    run = train(config, sensors, (rows, rows), Limits(None, 1), None, False, lambda point: None)
    return Score(Graphs(run.vae, sensors)).eval()


@torch.no_grad()
def nats(model: Score, x: Array) -> Array:
    """Scores [n] of rows x."""
    return model(torch.tensor(x))[0].numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_a_difficult_sensor_neither_breaks_training_nor_buys_endless_density(kind: str) -> None:
    """Scores of healthy, held-out and far rows are finite, and no row is denser than the sensors' floors allow.

    The bound is the density's largest value with every decoder scale at its floor: Σ ln(floor·√(2π)) nats.
    """
    x, held_out = (np.column_stack([plant_rows(ROWS, seed)[:, :3], column(kind, seed)]) for seed in (0, 1))
    far = held_out[:6] + np.array([1e3, 1e9, 1e30])[:, None, None] * np.ones((1, 6, 4))
    model = fitted(x, steps=120)

    floor = floors(model.graphs.vae, describe(x, "abcd", [None] * 4))
    least = np.log(np.sqrt(2 * np.pi) * floor[floor > 0]).sum()
    for rows in (x, held_out, *far):
        assert np.isfinite(nats(model, rows)).all()
    assert nats(model, x).min() >= least
    assert nats(model, held_out).min() >= least
    if kind not in {"heavy-tailed, by one"}:
        assert (nats(model, far[1]) > np.quantile(nats(model, held_out), 0.99)).all()


@pytest.mark.parametrize("kind", ["two-valued", "duplicated"])
def test_longer_training_does_not_run_away(kind: str) -> None:
    """Four times the steps sharpen what can be predicted to its floor, and stop there."""
    x, held_out = (np.column_stack([plant_rows(ROWS, seed)[:, :3], column(kind, seed)]) for seed in (0, 1))
    floor = floors(fitted(x, steps=1).graphs.vae, describe(x, "abcd", [None] * 4))
    least = np.log(np.sqrt(2 * np.pi) * floor[-1])

    means = [nats(fitted(x, steps), held_out).mean() for steps in (60, 240)]
    alone = nats(fitted(x[:, :3], 240), held_out[:, :3]).mean()

    assert means[1] - alone > least


def test_a_row_out_of_this_world_to_stop_by_does_not_stop_training() -> None:
    """One reading of 3e38 among the validation rows: every evaluation is finite, and they still tell progress."""
    x, validation = plant_rows(ROWS, seed=0), plant_rows(200, seed=1)
    validation[7, 0] = 3e38
    sensors = describe(x, "abcd", [None] * 4)
    rows, stop_by = standardise(x, sensors), standardise(validation, sensors)
    config = Config(width=16, components=5, steps=120)
    torch.set_num_threads(1)

    curve = train(config, sensors, (rows, stop_by), Limits(None, 1), None, False, lambda point: None).curve

    told = [point.validation_nats for point in curve if point.stage == "density"]
    judged = [point.validation_nats for point in curve if point.validation_nats is not None]
    assert np.isfinite(judged).all()
    assert min(told) < told[0]


def test_a_constant_sensor_that_moves_alarms(plant: Bundle, plant_engine: Engine) -> None:
    """The valve, 3 in every training row, costs nothing at rest, and alarms by itself when it is at 3.2."""
    calibration = Calibration(plant.path / "calibration.npz", plant_engine)
    x = np.array([[20.0, 1013.0, 5.0, 3.0], [20.0, 1013.0, 5.0, 3.2]])

    scores = plant_engine.score(x)

    assert scores.per_sensor[0, 3] == 0
    assert scores.per_sensor[1].argmax() == 3
    assert calibration.judge(x, scores.score, 0.01).alarm.tolist() == [False, True]
