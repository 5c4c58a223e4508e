"""One run: how many steps the density takes, and the density anew in as many with every row."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from app.manifest import Sensor, TrainingPoint
from training.build import MANY, build, place, plant
from training.checkpoint import Checkpoint
from training.config import Config, Limits
from training.descent import Descent, Evaluation
from training.fit import Rows, Stage, descend, start
from training.stacking import weigh_neighbours
from training.vae import Vae

DENSITY, REFIT = "density", "refit"
"""How many steps the density takes, found by the validation rows; the density anew in as many steps, with these rows
among the others. Each has half of the steps and of the minutes."""

Curve = tuple[Evaluation, ...]


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it came about."""

    vae: Vae
    curve: Curve


def density_stage(config: Config, sensors: int, minutes: float | None) -> Stage:
    """The first stage of a model of so many sensors that move; the second is as long or shorter."""
    steps = config.steps if config.steps is not None else (8_000 if sensors <= MANY else 4_000)
    return Stage(DENSITY, max(1, steps // 2), None if minutes is None else minutes / 2)


@dataclass(frozen=True)
class Run:
    """What all stages of a run have in common."""

    seed: int
    checkpoint: Checkpoint | None
    report: Callable[[Evaluation], None]

    def stage(
        self,
        begin: Fitted,
        stage: Stage,
        rows: Rows,
        validation: Rows | None,
        kept: dict[str, Any] | None,
        best: dict[str, Tensor] | None = None,
    ) -> Fitted:
        """What `stage` makes of `begin`, its evaluations added; it goes on from where `kept` was taken, if given.

        `best` is the model to fall back on where a refit is interrupted and not to go on.
        """
        descent = start(begin.vae, self.seed)
        if kept is not None:
            descent.restore(kept)
        else:
            descent.earlier, descent.best = begin.curve, best or {}
            self._keep(stage, descent)

        def told(descent: Descent) -> None:
            self._keep(stage, descent)
            self.report(descent.curve[-1])

        vae = descend(descent, stage, rows, validation, told)
        return Fitted(vae, (*descent.earlier, *descent.curve))

    def _keep(self, stage: Stage, descent: Descent) -> None:
        if self.checkpoint is not None:
            self.checkpoint.write(stage.name, descent)


def train(
    config: Config,
    sensors: tuple[Sensor, ...],
    parts: tuple[Rows, Rows],
    limits: Limits,
    checkpoint: Checkpoint | None,
    resume: bool,
    report: Callable[[Evaluation], None],
) -> Fitted:
    """Fit a model to `parts` (training and validation rows), from the start or from where `checkpoint` stands."""
    run = Run(config.seed, checkpoint, report)
    reached, kept = checkpoint.read() if checkpoint and resume else (DENSITY, None)
    rows, validation = parts
    everything = Rows.together(rows, validation)
    fitted = Fitted(build(config, sensors, rows), ())
    density = density_stage(config, fitted.vae.shape.sensors, limits.minutes)
    if reached == DENSITY:
        fitted = run.stage(fitted, density, rows, validation, kept)
        weigh_neighbours(fitted.vae, validation)
        kept = None
    else:
        assert kept is not None
        fitted.vae.load_state_dict(kept["best"])
        fitted = Fitted(fitted.vae, tuple(Evaluation(**point) for point in kept["earlier"]))
    steps = steps_found(fitted.curve)
    # of a split in time order the validation rows stay out, since they also tell whether scores move
    if config.split != "time" and steps and limits.minutes != 0:
        fresh = copy.deepcopy(fitted.vae)
        plant(fresh, everything, config.seed)
        again = Stage(REFIT, steps, density.minutes)
        fitted = run.stage(Fitted(fresh, fitted.curve), again, everything, None, kept, fitted.vae.state_dict())
    place(fitted.vae, everything, config.seed)
    return fitted


def steps_found(curve: Sequence[Evaluation | TrainingPoint]) -> int:
    """The step at which the density's validation nats were least; 0 where they were never taken."""
    judged = ((point.validation_nats, point.step) for point in curve if point.validation_nats is not None)
    return min(judged, default=(0.0, 0))[1]
