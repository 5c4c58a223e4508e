"""The state of a descent: everything that training changes, to be kept and restored."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from training.vae import Vae


@dataclass(frozen=True)
class Evaluation:
    """Mean negative ELBO, in nats of standardised x, at one step of one stage."""

    stage: str
    step: int
    train_nats: float
    validation_nats: float | None
    """None where every row is trained on."""


@dataclass
class Descent:
    """Everything a stage changes; what a checkpoint holds."""

    vae: Vae
    average: Vae
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0
    train_nats: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    curve: list[Evaluation] = field(default_factory=list)
    earlier: tuple[Evaluation, ...] = ()
    """The evaluations of the stages before."""

    def state(self) -> dict[str, Any]:
        """Tensors and numbers only, so that reading them back runs no code."""
        return {
            "vae": self.vae.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
            "train_nats": self.train_nats,
            "best": self.best,
            "curve": [vars(point) for point in self.curve],
            "earlier": [vars(point) for point in self.earlier],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state` was taken."""
        self.vae.load_state_dict(state["vae"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.step, self.seconds, self.train_nats = state["step"], state["seconds"], state["train_nats"]
        self.best = state["best"]
        self.curve = [Evaluation(**point) for point in state["curve"]]
        self.earlier = tuple(Evaluation(**point) for point in state["earlier"])
