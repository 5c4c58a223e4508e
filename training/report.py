"""What a run found out, gathered: difficult sensors, suspicious rows, diagnostics and a verdict on each."""

from app.engine import Engine
from app.report import Report
from training import diagnostics, verdicts
from training.calibrate import HeldOut
from training.config import Config
from training.data import Readings, split
from training.export import Trained
from training.sensors import difficult
from training.suspects import suspects
from training.train import density_stage


def report(readings: Readings, config: Config, trained: Trained, engine: Engine, held_out: HeldOut) -> Report:
    """The report on `trained`, which was fitted to `readings` as `config` says.

    Args:
        readings: the table.
        config: what it was fitted by.
        trained: the model as torch has it.
        engine: the model as it was exported.
        held_out: the exported model's scores of the calibration rows.
    """
    parts = split(len(readings.x), config.seed, config.split)
    sensors, moving = trained.sensors, sum(not sensor.constant for sensor in trained.sensors)
    found = difficult(readings.x[parts.train], sensors, diagnostics.floors(trained.vae, sensors))
    odd = suspects(readings, parts, config, engine, held_out)
    curve, steps = trained.provenance.curve, density_stage(config, moving, None).steps
    cut_short = verdicts.run(curve, steps, refits=config.split != "time")
    x = diagnostics.examined(trained.held_out, sensors)
    latents = diagnostics.latents(engine, x)
    gap = diagnostics.gap(engine, x)
    fits = diagnostics.sensor_fits(engine, trained.vae, x)
    return Report(
        sensors=found,
        suspects=odd,
        latents=latents,
        gap=gap,
        fits=fits,
        verdicts=(
            *(cut_short or verdicts.curve(curve, moving)),
            *verdicts.sensors(found),
            *verdicts.rows(odd),
            *verdicts.latents(latents, moving),
            *verdicts.floor(fits),
            *verdicts.gap(gap),
            *verdicts.bands(fits),
        ),
    )
