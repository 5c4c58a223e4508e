"""One run: three stages, and what passes from each to the next."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from app.manifest import Sensor
from training.build import MANY, build, plant
from training.checkpoint import Checkpoint
from training.config import Config, Limits
from training.descent import Descent, Evaluation
from training.fit import Rows, Stage, descend, start
from training.posterior import Posterior
from training.stacking import weigh_neighbours
from training.vae import Vae

DENSITY, REFIT, MISSING = "density", "refit", "missing"
"""How many steps the density takes, found by the validation rows; the density anew in as many steps, with these rows
among the others; and the encoder of rows with missing sensors."""
DENSITY_SHARE, MISSING_SHARE = 0.25, 0.5
"""Of the steps and of the minutes; the refit has as many as the density."""
COVERING = 2.0
"""Weight of covering what missing sensors leave open, beside the ELBO: bands are then wide enough at a looser score."""

Curve = tuple[Evaluation, ...]


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it came about."""

    vae: Vae
    curve: Curve


def most_steps(config: Config, sensors: int) -> int:
    """Gradient steps at most of a model of so many sensors that move."""
    return config.steps if config.steps is not None else (16_000 if sensors <= MANY else 8_000)


def stages(config: Config, sensors: int, minutes: float | None, holes: bool) -> tuple[Stage, Stage, Stage]:
    """The density, the same with all rows, and then, with all else at rest, the encoder of rows with missing sensors.

    `sensors` is how many move; `holes` is whether some of the rows trained on miss a sensor.
    """
    steps = most_steps(config, sensors)
    some, most = (max(1, round(steps * share)) for share in (DENSITY_SHARE, MISSING_SHARE))
    short, long = (None if minutes is None else minutes * share for share in (DENSITY_SHARE, MISSING_SHARE))
    encode = Vae.encode if holes else _encode_whole
    density = Stage(DENSITY, lambda vae: vae, encode, _nothing, _hide_nothing, some, short)
    missing = Stage(MISSING, lambda vae: vae.partial, _encode_partial, _cover, _hide_some, most, long)
    return density, replace(density, name=REFIT), missing


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
        descent = start(begin.vae, stage, self.seed)
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
    fitted = fit_density(config, sensors, parts, limits, run, reached, kept)
    holes = any(bool((some.observed == 0).any()) for some in parts)
    if not holes:
        fitted.vae.start_partial()
    *_, missing = stages(config, fitted.vae.shape.sensors, limits.minutes, holes)
    return run.stage(fitted, missing, *parts, kept if reached == MISSING else None)


def fit_density(
    config: Config,
    sensors: tuple[Sensor, ...],
    parts: tuple[Rows, Rows],
    limits: Limits,
    run: Run,
    reached: str = DENSITY,
    kept: dict[str, Any] | None = None,
) -> Fitted:
    """The first two stages of `run`, or what is left of them where it has `reached` one and `kept` its state.

    The model's encoder of rows with missing sensors is where it starts; what it says of complete rows is final. Of a
    split in time order the validation rows stay out, since they also tell whether scores move.
    """
    rows, validation = parts
    everything = Rows.together(rows, validation)
    fitted = Fitted(build(config, sensors, rows), ())
    holes = bool((everything.observed == 0).any())
    density, refit, _ = stages(config, fitted.vae.shape.sensors, limits.minutes, holes)
    if reached == DENSITY:
        fitted = run.stage(fitted, density, rows, validation, kept)
        weigh_neighbours(fitted.vae, validation)
    if reached == REFIT:
        assert kept is not None
        fitted.vae.load_state_dict(kept["best"])
        fitted = Fitted(fitted.vae, tuple(Evaluation(**point) for point in kept["earlier"]))
    steps = _steps_found(fitted.curve)
    if reached == MISSING or config.split == "time" or not steps or limits.minutes == 0:
        return fitted
    fresh = copy.deepcopy(fitted.vae)
    plant(fresh, everything, config.seed)
    again, state = replace(refit, steps=steps), kept if reached == REFIT else None
    return run.stage(Fitted(fresh, fitted.curve), again, everything, None, state, fitted.vae.state_dict())


def _steps_found(curve: Curve) -> int:
    """The step at which the density's validation nats were least; 0 where they were never taken."""
    judged = ((point.validation_nats, point.step) for point in curve if point.validation_nats is not None)
    return min(judged, default=(0.0, 0))[1]


def _encode_whole(vae: Vae, x: Tensor, observed: Tensor) -> Posterior:
    encoded: Posterior = vae.whole(x, observed)
    return encoded


def _encode_partial(vae: Vae, x: Tensor, observed: Tensor) -> Posterior:
    encoded: Posterior = vae.partial(x, observed)
    return encoded


def _nothing(vae: Vae, posterior: Posterior, rows: Rows, noise: Tensor) -> Tensor:
    return torch.zeros(len(rows), 1)


def _cover(vae: Vae, posterior: Posterior, rows: Rows, noise: Tensor) -> Tensor:
    """−ln q(z|observed) of latents drawn given the whole row, COVERING times, [n, K].

    The ELBO alone would let q(z|observed) settle on a part of what the missing sensors leave open. This is the forward
    KL from p(z|observed), as in the wake phase of Bornschein & Bengio (2015), and makes it cover all of that.
    """
    with torch.no_grad():
        z = vae.encode(rows.x, rows.observed).draw(noise)
    return -COVERING * posterior.log_prob_at(z)


def _hide_nothing(observed: Tensor, generator: torch.Generator) -> Tensor:
    return torch.ones_like(observed)


def _hide_some(observed: Tensor, generator: torch.Generator) -> Tensor:
    """1 where a sensor stays seen: every second row loses one, the others each with a rate of their own up to 0.6."""
    chance = torch.rand(observed.shape, generator=generator)
    rate = 0.6 * torch.rand(len(observed), 1, generator=generator)
    each = (chance >= rate).float()
    one = (chance < chance.amax(dim=-1, keepdim=True)).float()
    return torch.where(torch.arange(len(observed))[:, None] % 2 == 0, one, each)
