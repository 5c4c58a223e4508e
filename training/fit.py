"""Gradient descent on the negative ELBO: one stage at a time, stopped by held-out rows."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from app.errors import NelboError
from training.descent import Descent, Evaluation
from training.vae import Vae, beside, elbo, mix, network

LEARNING_RATE = 3e-3
AVERAGE = 0.999
WEIGHT_DECAY = 0.1
EVALUATIONS = 40
PATIENCE = 12
"""Evaluations without a gain on the validation rows after which a stage ends."""
VALIDATION_ROWS, VALIDATION_DRAWS = 2048, 4
"""At most and for each: the same rows and draws at every evaluation, and every row its own, or their mean is biased."""
AT_ONCE = 1024


class TrainingError(NelboError):
    """Training cannot go on; the text names the step and the first tensor that is not finite."""


@dataclass(frozen=True)
class Rows:
    """Standardised rows: x [n, D] float32, 0 where missing; observed [n, D], 1 or 0."""

    x: Tensor
    observed: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> "Rows":
        return Rows(self.x[index], self.observed[index])

    @staticmethod
    def together(first: "Rows", second: "Rows") -> "Rows":
        return Rows(torch.cat([first.x, second.x]), torch.cat([first.observed, second.observed]))


@dataclass(frozen=True)
class Stage:
    """One descent on the negative ELBO: its name and how long it may take."""

    name: str
    steps: int
    minutes: float | None


def start(vae: Vae, seed: int) -> Descent:
    """A descent at its first step."""
    moving = {name: p for name, p in vae.named_parameters() if p.requires_grad}
    weights = [p for name, p in moving.items() if name.endswith("weight")]
    others = [p for name, p in moving.items() if not name.endswith("weight")]
    optimiser = torch.optim.AdamW(
        [{"params": weights, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        fused=True,
    )
    return Descent(vae, copy.deepcopy(vae), optimiser, torch.Generator().manual_seed(seed))


def descend(
    descent: Descent, stage: Stage, train: Rows, validation: Rows | None, report: Callable[[Descent], None]
) -> Vae:
    """Run `stage` to its end and return the averaged model: the one that did best on the validation rows, or the last.

    `report` is told after every evaluation, and may keep the descent's state.

    Raises:
        TrainingError: the loss or its gradient is not finite.
    """
    batch = min(512, max(32, len(train) // 20))
    every = max(1, stage.steps // EVALUATIONS)
    started = time.monotonic() - descent.seconds
    while not _finished(descent, stage):
        done = max(descent.step / stage.steps, _spent(descent, stage))
        for group in descent.optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (descent.step + 1) / 200) * (0.01 + 0.99 * _cosine(done))
        rows = train.take(torch.randint(len(train), (batch,), generator=descent.generator))
        noise = torch.randn(batch, 1, descent.vae.shape.latents, generator=descent.generator)
        posterior = descent.vae.encode(rows.x, rows.observed)
        parts = elbo(descent.vae, posterior, rows.x, rows.observed, noise)
        kl_weight = min(1.0, 0.5 + 5 * done)  # the KL is at full weight after a tenth of the way
        loss = (parts.per_sensor.sum(dim=-1) + kl_weight * parts.kl).mean()
        descent.optimiser.zero_grad()
        loss.backward()
        parameters = list(descent.vae.parameters())
        norm = nn.utils.get_total_norm([gradient for each in parameters if (gradient := each.grad) is not None])
        _require_finite(descent, stage, loss, norm)
        nn.utils.clip_grads_with_norm_(parameters, 5.0, norm)
        descent.optimiser.step()
        _average_in(descent)
        descent.step += 1
        descent.seconds = time.monotonic() - started
        descent.train_nats += (loss.item() - descent.train_nats) / min(descent.step, every)
        if descent.step % every == 0 or descent.step == stage.steps:
            nats = None if validation is None else _evaluate(descent, validation)
            descent.curve.append(Evaluation(stage.name, descent.step, descent.train_nats, nats))
            report(descent)
    best = copy.deepcopy(descent.vae)
    chosen = descent.average.state_dict() if validation is None else descent.best or descent.average.state_dict()
    best.load_state_dict(chosen)
    return best


def _finished(descent: Descent, stage: Stage) -> bool:
    if descent.step >= stage.steps or _spent(descent, stage) >= 1:
        return True
    return gains_no_more([point.validation_nats for point in descent.curve if point.validation_nats is not None])


def gains_no_more(nats: list[float]) -> bool:
    """Whether the last PATIENCE of a stage's validation nats are none of them the least."""
    return bool(nats) and len(nats) - 1 - nats.index(min(nats)) >= PATIENCE


def _spent(descent: Descent, stage: Stage) -> float:
    """The share of the stage's minutes that is gone; 0 where it has no limit."""
    if stage.minutes is None:
        return 0.0
    return descent.seconds / 60 / stage.minutes if stage.minutes > 0 else 1.0


def _cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _average_in(descent: Descent) -> None:
    """An exponential moving average of the weights, shorter in the beginning."""
    keep = min(AVERAGE, descent.step / (descent.step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(descent.average.parameters()), list(descent.vae.parameters()), 1 - keep)


def _evaluate(descent: Descent, validation: Rows) -> float:
    """The average's nats on the validation rows; it is kept where it is the best yet."""
    nats = mean_nats(descent.average, validation)
    if all(point.validation_nats is None or nats < point.validation_nats for point in descent.curve):
        descent.best = copy.deepcopy(descent.average.state_dict())
    return nats


@torch.no_grad()
def mean_nats(vae: Vae, rows: Rows) -> float:
    """The negative ELBO, the experts included: its mean over some of the rows, in nats of standardised x."""
    nats, generator = 0.0, torch.Generator().manual_seed(0)
    chosen = torch.linspace(0, len(rows) - 1, min(len(rows), VALIDATION_ROWS)).long()
    for some in chosen.split(AT_ONCE):
        x, observed = rows.x[some], rows.observed[some]
        posterior = vae.encode(x, observed)
        half = torch.randn(len(some), VALIDATION_DRAWS // 2, vae.shape.latents, generator=generator)
        noise = torch.cat([half, -half], dim=1)
        parts = network(vae, posterior, x, observed, noise)
        nats += mix(parts, beside(vae.experts, x, observed)).elbo.negative.double().sum().item()
    return nats / len(chosen)


def _require_finite(descent: Descent, stage: Stage, loss: Tensor, norm: Tensor) -> None:
    """Stop before a step that would make the weights useless, and so what is kept of them."""
    if torch.isfinite(loss) and torch.isfinite(norm):
        return
    parameters = list(descent.vae.named_parameters())
    tensors: list[tuple[str, Tensor]] = [(f"parameter {name}", parameter) for name, parameter in parameters]
    tensors += [(f"gradient of {name}", parameter.grad) for name, parameter in parameters if parameter.grad is not None]
    names = (name for name, tensor in tensors if not torch.isfinite(tensor).all())
    raise TrainingError(
        f"the loss is {loss.item()} and its gradient {norm.item()} long at step {descent.step} of stage "
        f"'{stage.name}', learning rate {descent.optimiser.param_groups[0]['lr']:.3g}; "
        f"the first tensor that is not finite: {next(names, 'the loss itself')}; nothing was exported"
    )
