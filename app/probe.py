"""A bundle's proof: rows, noise and torch's answers to them, which the service computes again before it is ready."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.bundle import Probe

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Answers:
    """Everything the four graphs say of rows x [n, D] and noise [n, M]."""

    latent_mean: Array
    latent_scale: Array
    mean: Array
    scale: Array
    sample: Array
    score: Array
    kl: Array
    per_sensor: Array

    def worst(self, expected: "Answers", sensor_scale: Array, tolerance: Probe) -> tuple[str, float]:
        """The answer that is furthest off, and by how much beyond the tolerance; above 0, or NaN, it does not hold."""
        # a sum is as exact as its parts are large: the size of a row's nats is what its score adds up
        nats = np.abs(expected.kl) + np.abs(expected.per_sensor).sum(axis=1)
        excess = {}
        for field in fields(self):
            unit = sensor_scale if field.name in {"mean", "scale", "sample"} else 1.0
            found, wanted = getattr(self, field.name) / unit, getattr(expected, field.name) / unit
            size = np.abs(wanted)
            if field.name in {"score", "kl", "per_sensor"}:
                size = nats.reshape(-1, *(1,) * (wanted.ndim - 1))
            allowed = tolerance.absolute + tolerance.relative * size
            excess[field.name] = float(np.max(np.abs(found - wanted) - allowed))
        # NaN compares as the worst of all
        name = max(excess, key=lambda key: np.inf if np.isnan(excess[key]) else excess[key])
        return name, excess[name]


@dataclass(frozen=True)
class Proof:
    """What probe.npz holds."""

    x: Array
    """[n, D] in the sensors' units, NaN where missing."""
    noise: Array
    """[n, M], standard normal."""
    answers: Answers

    def write(self, file: Path) -> None:
        """As probe.npz, without pickles."""
        np.savez(file, x=self.x, noise=self.noise, **vars(self.answers))

    @staticmethod
    def read(file: Path) -> "Proof":
        """From probe.npz."""
        with np.load(file, allow_pickle=False) as stored:
            answers = Answers(**{field.name: stored[field.name] for field in fields(Answers)})
            return Proof(stored["x"], stored["noise"], answers)
