"""The reference model that every server serves: 8 sensors, 8 latents, 16 draws, 2 × 128 units, as a real bundle."""

from pathlib import Path

import numpy as np
import torch

from app.array import Array
from app.bundle import Bundle
from app.manifest import Provenance
from training.config import Config, Limits
from training.data import describe
from training.descent import Evaluation
from training.export import Trained, export
from training.standardise import standardise
from training.train import train

NAME = "reference"
SENSORS = 8
TRAINED_ON, HELD_OUT = 3000, 1500
"""Rows. What the model has learnt does not change how long it takes to ask it."""
CONFIG = Config(width=128, latent_size=8, components=0, steps=20)


def make(repository: Path, seed: int = 0) -> Bundle:
    """Train the reference model for a moment and write it to `repository`, as the next version of `reference`.

    Another seed is other rows, and so another model of the same sensors.
    """
    x = rows(TRAINED_ON + HELD_OUT, seed)
    fitted_to, held_out = x[:TRAINED_ON], x[TRAINED_ON:]
    sensors = describe(fitted_to, [f"s{d}" for d in range(SENSORS)], [None] * SENSORS)
    parts = standardise(fitted_to[:-300], sensors), standardise(fitted_to[-300:], sensors)
    torch.set_num_threads(1)
    fitted = train(CONFIG, sensors, parts, Limits(None, 1), None, False, _untold)
    provenance = Provenance(
        data="made up",
        data_sha256="0" * 64,
        attribution=None,
        command="python -m benchmarks.serving",
        seed=CONFIG.seed,
        threads=1,
        versions={},
        config=CONFIG.as_json(),
        rows={"train": TRAINED_ON - 300, "validation": 300, "calibration": HELD_OUT},
        curve=(),
    )
    written = export(Trained(NAME, fitted.vae, sensors, held_out, provenance), repository)
    assert written is not None
    return written


def rows(count: int, seed: int) -> Array:
    """Made-up healthy readings [count, 8]: correlated sensors, each at a level and a scale of its own."""
    generator = np.random.default_rng(seed)
    loads = np.random.default_rng(1).standard_normal((3, SENSORS))
    standard = generator.standard_normal((count, 3)) @ loads + 0.5 * generator.standard_normal((count, SENSORS))
    return 10.0 ** np.linspace(-1, 3, SENSORS) * (3 + standard)


def _untold(evaluation: Evaluation) -> None:
    """Nobody watches a benchmark train."""
