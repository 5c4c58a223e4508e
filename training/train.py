"""One run: the model for a table, its two stages, and where each starts."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from app.manifest import Sensor
from training import ppca
from training.checkpoint import Checkpoint
from training.config import Config, Limits
from training.descent import Descent, Evaluation
from training.fit import Rows, Stage, descend, start
from training.posterior import Posterior
from training.prior import MixturePrior
from training.standardise import floor, reach
from training.vae import DecoderScale, Shape, Vae

DENSITY, MISSING = "density", "missing"
DENSITY_SHARE = 0.5
"""Of the steps and the minutes; the rest teaches the encoder of rows with missing sensors."""


MANY = 32
"""Sensors. Above it the simpler choice is the default: what adds density there takes it from telling faults apart."""


@dataclass(frozen=True)
class Fitted:
    """A trained model and how it came about."""

    vae: Vae
    curve: tuple[Evaluation, ...]


def build(config: Config, sensors: tuple[Sensor, ...], rows: Rows) -> Vae:
    """The model for `rows`, at the probabilistic-PCA optimum with its mixture on the rows' own latents."""
    count = sum(not sensor.constant for sensor in sensors)
    latents = config.latent_size or max(1, min(count - 1, 16 if count <= MANY else 32))
    width = config.width if config.width is not None else (128 if len(rows) < 2000 else 256)
    wanted = config.components if config.components is not None else (300 if count <= MANY else 0)
    components = min(wanted, max(1, len(rows) // 10))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        fixed = config.fixed_scale(count)
        scale = DecoderScale(config.decoder_scale) if fixed is None else DecoderScale("fixed", fixed)
        vae = Vae(Shape(count, latents, width, components, tied=count <= MANY), reach(rows), floor(sensors), scale)
        ppca.plant(vae, rows.x, rows.observed)
        if isinstance(vae.prior, MixturePrior):
            some = rows.take(torch.randperm(len(rows))[:components])
            vae.prior.start_at(vae.encode(some.x, some.observed).mean)
    return vae


def most_steps(config: Config, sensors: int) -> int:
    """Gradient steps at most of a model of so many sensors that move."""
    return config.steps if config.steps is not None else (16_000 if sensors <= MANY else 8_000)


def stages(config: Config, sensors: int, minutes: float | None, holes: bool) -> tuple[Stage, Stage]:
    """First the density of rows as they are, then, with all else at rest, the encoder of rows with missing sensors.

    `sensors` is how many move.
    """
    steps = most_steps(config, sensors)
    share = None if minutes is None else minutes * DENSITY_SHARE
    rest = None if minutes is None else minutes * (1 - DENSITY_SHARE)
    density = max(1, round(steps * DENSITY_SHARE))
    encode = Vae.encode if holes else _encode_whole
    return (
        Stage(DENSITY, lambda vae: vae, encode, _nothing, _hide_nothing, density, share),
        Stage(MISSING, lambda vae: vae.partial, _encode_partial, _cover, _hide_some, max(1, steps - density), rest),
    )


def train(
    config: Config,
    vae: Vae,
    parts: tuple[Rows, Rows],
    limits: Limits,
    checkpoint: Checkpoint | None,
    resume: bool,
    report: Callable[[Evaluation], None],
) -> Fitted:
    """Run both stages on `parts` (training and validation rows), from `vae` or from where `checkpoint` stands."""
    rows, validation = parts
    reached, kept = checkpoint.read() if checkpoint and resume else (DENSITY, None)
    curve: tuple[Evaluation, ...] = ()
    holes = bool((rows.observed == 0).any())
    for stage in stages(config, vae.shape.sensors, limits.minutes, holes):
        if stage.name == DENSITY and reached == MISSING:
            continue
        if stage.name == MISSING and not holes:
            vae.start_partial()
        descent = start(vae, stage, config.seed)
        if kept is not None and stage.name == reached:
            descent.restore(kept)
        else:
            descent.earlier = curve
            _keep(checkpoint, stage, descent)

        def told(descent: Descent, stage: Stage = stage) -> None:
            _keep(checkpoint, stage, descent)
            report(descent.curve[-1])

        vae = descend(descent, stage, rows, validation, told)
        curve = (*descent.earlier, *descent.curve)
    return Fitted(vae, curve)


def _keep(checkpoint: Checkpoint | None, stage: Stage, descent: Descent) -> None:
    if checkpoint is not None:
        checkpoint.write(stage.name, descent)


def _encode_whole(vae: Vae, x: Tensor, observed: Tensor) -> Posterior:
    encoded: Posterior = vae.whole(x, observed)
    return encoded


def _encode_partial(vae: Vae, x: Tensor, observed: Tensor) -> Posterior:
    encoded: Posterior = vae.partial(x, observed)
    return encoded


def _nothing(vae: Vae, posterior: Posterior, rows: Rows, noise: Tensor) -> Tensor:
    return torch.zeros(len(rows), 1)


def _cover(vae: Vae, posterior: Posterior, rows: Rows, noise: Tensor) -> Tensor:
    """−ln q(z|observed) of latents drawn given the whole row, [n, K].

    The ELBO alone would let q(z|observed) settle on a part of what the missing sensors leave open. This is the forward
    KL from p(z|observed), as in the wake phase of Bornschein & Bengio (2015), and makes it cover all of that.
    """
    with torch.no_grad():
        z = vae.encode(rows.x, rows.observed).draw(noise)
    return -posterior.log_prob_at(z)


def _hide_nothing(observed: Tensor, generator: torch.Generator) -> Tensor:
    return torch.ones_like(observed)


def _hide_some(observed: Tensor, generator: torch.Generator) -> Tensor:
    """1 where a sensor stays seen: every second row loses one, the others each with a rate of their own up to 0.6."""
    chance = torch.rand(observed.shape, generator=generator)
    rate = 0.6 * torch.rand(len(observed), 1, generator=generator)
    each = (chance >= rate).float()
    one = (chance < chance.amax(dim=-1, keepdim=True)).float()
    return torch.where(torch.arange(len(observed))[:, None] % 2 == 0, one, each)
