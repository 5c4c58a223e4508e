"""A bundle's proof: rows, noise and torch's answers to them, which the service computes again before it is ready."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from app.array import Array
from app.manifest import Probe

IN_NATS = frozenset({"score", "kl", "per_sensor", "log_weight"})
MOMENTS = frozenset({"mean", "scale", "draw_mean", "draw_scale"})
IN_SENSOR_UNITS = MOMENTS | {"sample"}
BLENDED = MOMENTS | {"kl", "per_sensor"}
"""Of two models' mixture, by shares that are as exact as the row's nats are; the score hardly depends on the shares."""


@dataclass(frozen=True)
class Answers:
    """Everything the graphs say of rows x [n, D], noise [n, M] and draws [K, L]."""

    latent_mean: Array
    latent_scale: Array
    mean: Array
    scale: Array
    sample: Array
    score: Array
    kl: Array
    per_sensor: Array
    log_weight: Array
    draw_mean: Array
    draw_scale: Array

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each answer."""
        return {name: answer.shape for name, answer in vars(self).items()}

    def worst(self, expected: "Answers", sensor_scale: Array, tolerance: Probe) -> tuple[str, float]:
        """The answer that is furthest off, and by how much beyond the tolerance; above 0, or NaN, it does not hold."""
        # a sum is as exact as its parts are large: the size of a row's nats is what its score adds up
        nats = np.abs(expected.kl) + np.abs(expected.per_sensor).sum(axis=1)
        excess = {}
        for name, wanted in vars(expected).items():
            unit = sensor_scale if name in IN_SENSOR_UNITS else 1.0
            found, wanted = getattr(self, name) / unit, wanted / unit
            size = np.abs(wanted)
            of_row = nats.reshape(-1, *(1,) * (wanted.ndim - 1))
            if name in IN_NATS:
                size = size + of_row
            if name in BLENDED:
                size = np.maximum(size, 1.0) * (1.0 + of_row)
            allowed = tolerance.absolute + tolerance.relative * size
            excess[name] = float(np.max(np.abs(found - wanted) - allowed))
        # NaN compares as the worst of all
        worst = max(excess, key=lambda key: np.inf if np.isnan(excess[key]) else excess[key])
        return worst, excess[worst]


@dataclass(frozen=True)
class Proof:
    """What probe.npz holds."""

    x: Array
    """[n, D] in the sensors' units, NaN where missing."""
    noise: Array
    """[n, M], standard normal."""
    draws: Array
    """[K, 1 + L]: a uniform number and standard normals; in format 2 the normals only."""
    answers: Answers

    def write(self, file: Path) -> None:
        """As probe.npz, without pickles."""
        np.savez(file, allow_pickle=False, x=self.x, noise=self.noise, draws=self.draws, **vars(self.answers))

    @staticmethod
    def read(file: Path) -> "Proof":
        """From probe.npz."""
        # Opened here, since numpy leaves what it opens open where that is no archive.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            answers = Answers(**{field.name: stored[field.name] for field in fields(Answers)})
            return Proof(stored["x"], stored["noise"], stored["draws"], answers)
