"""The training report: hidden anomalies come first, and diagnostics know known truths."""

from pathlib import Path

import numpy as np
import pytest
import torch

from app import report as reports
from app.array import Array
from app.engine import Engine
from app.report import Report
from tests.conftest import PLANT_NAMES, PLANT_UNITS, plant_rows, provenance
from training import diagnostics
from training.build import build
from training.calibrate import HeldOut
from training.config import Config
from training.data import Readings, describe, split
from training.export import Trained, export
from training.report import report
from training.standardise import standardise
from training.suspects import suspects
from training.vae import Vae

CONFIG = Config(width=0, components=0, latent_size=2, decoder_scale="shared", steps=100)
FAULTY = {11: 0, 222: 1, 333: 2}
"""Row of the table → the sensor in it that is five scales off what it read."""


def table(x: Array) -> Readings:
    """Rows x of the plant as a CSV with nothing in its second row would give them."""
    row = np.arange(1, len(x) + 1) + (np.arange(len(x)) > 0)
    return Readings(
        x=x,
        row=row,
        line=row + 1,
        names=PLANT_NAMES,
        units=PLANT_UNITS,
        file="a.csv",
        sha256="0" * 64,
        interval=None,
        notes=(),
    )


def planted(readings: Readings, config: Config) -> Trained:
    """The linear model at its closed-form optimum for the rows trained on."""
    torch.set_num_threads(1)
    parts = split(len(readings.x), config.seed, config.split)
    sensors = describe(readings.x[parts.train], readings.names, readings.units)
    vae = build(config, sensors, standardise(readings.x[parts.train], sensors))
    return Trained("plant", vae, sensors, readings.x[parts.calibration], provenance())


def exported(readings: Readings, config: Config, trained: Trained, out: Path) -> Report:
    """The report that comes with the model as a bundle."""

    def made(engine: Engine, held_out: HeldOut) -> Report:
        return report(readings, config, trained, engine, held_out)

    written = export(trained, out, report=made)
    assert written is not None
    return reports.read(written)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of a model planted in a table with three faults in it."""
    x = plant_rows(600, seed=5)
    for row, sensor in FAULTY.items():
        x[row, sensor] += 5 * x[:, sensor].std()
    return exported(table(x), CONFIG, planted(table(x), CONFIG), tmp_path_factory.mktemp("models"))


def test_anomalies_hidden_in_the_table_come_first(told: Report) -> None:
    """The three faulty rows lead, by their number and their line in the file."""
    assert told.suspects is not None
    rows = told.suspects.rows

    assert {row.row for row in rows[:3]} == {index + 2 for index in FAULTY}
    assert all(row.line == row.row + 1 for row in rows)
    assert rows[2].excess > 1.5 * rows[3].excess
    assert len(rows) == 20


def test_a_suspect_says_what_the_model_used_it_for(told: Report) -> None:
    """Each row's part is that of the split; a fault's score by the exported model is above what is healthy."""
    assert told.suspects is not None
    parts = vars(split(600, CONFIG.seed, CONFIG.split))

    for row in told.suspects.rows:
        assert row.row - 1 - (row.row > 1) in parts[row.part]
    assert min(row.score for row in told.suspects.rows[:3]) > told.suspects.threshold_without.nats


def test_the_threshold_falls_when_the_oddest_calibration_rows_go(told: Report) -> None:
    """A fault among the 120 calibration rows has set the threshold; without it, it is less than half as high."""
    assert told.suspects is not None
    among = sum(row.part == "calibration" for row in told.suspects.rows)

    assert told.suspects.threshold.rows == 120
    assert among > 0
    assert told.suspects.threshold_without.rows == 120 - among
    assert told.suspects.threshold_without.nats < told.suspects.threshold.nats / 2


def test_a_sensor_at_rest_is_difficult_and_has_no_band(told: Report) -> None:
    """The valve is told as constant, and only the three sensors in the density are examined."""
    assert [(sensor.name, sensor.kind) for sensor in told.sensors] == [("valve", "constant")]
    assert [fit.name for fit in told.fits] == list(PLANT_NAMES[:3])


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Probabilistic PCA, whose q(z|x) is exact."""
    written = export(planted(table(plant_rows(600, seed=5)), CONFIG), tmp_path_factory.mktemp("exact"))
    assert written is not None
    return Engine(written)


def test_the_gap_is_what_the_posterior_lacks(exact: Engine, tmp_path: Path) -> None:
    """Importance weighting gains nothing where q(z|x) is exact, and much where it is too wide."""
    trained = planted(table(plant_rows(600, seed=5)), CONFIG)
    with torch.no_grad():
        trained.vae.encode.log_scale += 1
    wide = export(trained, tmp_path)

    assert wide is not None
    assert diagnostics.gap(exact, trained.held_out).nats == pytest.approx(0, abs=1e-3)
    # KL(N(0, e²) ‖ N(0, 1)) = ½ (e² − 1 − 2) of each of two latents
    assert diagnostics.gap(Engine(wide), trained.held_out).nats == pytest.approx(np.e**2 - 3, rel=1e-3)


def test_a_held_out_row_out_of_this_world_is_no_obstacle(exact: Engine) -> None:
    """One reading of 3e38 among the held-out rows leaves every diagnostic finite."""
    trained = planted(table(plant_rows(600, seed=5)), CONFIG)
    held_out = trained.held_out.copy()
    held_out[[0, -1], 1] = 3e38, np.nan

    x = diagnostics.examined(held_out, trained.sensors)

    assert np.isfinite(diagnostics.gap(exact, x).nats)
    assert np.isnan(x[-1, 1])


def test_verdicts_come_in_the_order_in_which_a_person_asks(told: Report) -> None:
    """One on each thing; a model that was not trained has no curve, and was cut short."""
    assert [verdict.about for verdict in told.verdicts] == [
        "run",
        "sensors",
        "rows",
        "latents",
        "floor",
        "gap",
        "bands",
    ]


def silence(vae: Vae, latent: int, log_scale: float) -> None:
    """Make a latent say nothing, q(z|x) = N(0, 1), and give every sensor's decoder this scale."""
    with torch.no_grad():
        vae.encode.linear[:, latent] = 0
        vae.encode.offset[latent] = 0
        vae.encode.log_scale[latent] = 0
        vae.decode.linear[latent] = 0
        vae.decode.log_scale.fill_(log_scale)


def test_honest_bands_of_sensors_with_nothing_in_common(tmp_path: Path) -> None:
    """Independent sensors and a latent that says nothing: bands cover what they say, and no latent is active."""
    generator = np.random.default_rng(0)
    readings = table(np.column_stack([generator.standard_normal((2500, 3)), np.full(2500, 3.0)]))
    trained = planted(readings, Config(**{**vars(CONFIG), "latent_size": 1}))
    silence(trained.vae, 0, log_scale=0.0)

    told = exported(readings, CONFIG, trained, tmp_path)

    assert told.latents is not None
    assert (told.latents.active, told.latents.kl[0]) == (0, pytest.approx(0, abs=1e-6))
    assert [verdict.good for verdict in told.verdicts if verdict.about == "latents"] == [False]
    assert [verdict.good for verdict in told.verdicts if verdict.about == "bands"] == [True]
    for fit in told.fits:
        assert fit.readings == 500
        assert fit.coverage == pytest.approx((0.5, 0.9, 0.99), abs=0.07)
        assert fit.at_floor == 0


def test_a_decoder_at_its_floor_is_told_and_its_bands_are_too_narrow(tmp_path: Path) -> None:
    """Where the network claims to know sensors better than their floor, every row is at the floor."""
    readings = table(plant_rows(600, seed=5))
    trained = planted(readings, CONFIG)
    silence(trained.vae, 1, log_scale=-12.0)

    told = exported(readings, CONFIG, trained, tmp_path)

    judged = {verdict.about: verdict for verdict in told.verdicts}
    assert [fit.at_floor for fit in told.fits] == [1, 1, 1]
    assert told.fits[0].floor == pytest.approx(0.01 * trained.sensors[0].scale, rel=0.01)
    assert not judged["floor"].good
    assert not judged["bands"].good
    assert "'temperature'" in judged["bands"].text


def test_a_half_in_which_nothing_moves_leaves_no_row_out(plant_engine: Engine) -> None:
    """A table whose only movement is one reading cannot be judged by halves."""
    x = np.tile([20.0, 1013.0, 5.0, 3.0], (400, 1))
    x[7, 0] = 21.0
    parts = split(400, 0, "random")

    assert suspects(table(x), parts, CONFIG, plant_engine, HeldOut.of(plant_engine, x[parts.calibration])) is None
