"""What every benchmark does: fit to rows as nelbo-train does, export, and score with the exported graphs."""

import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from app.array import Array
from app.engine import Engine
from app.manifest import Provenance
from benchmarks.processor import processor
from training.config import Config, Limits
from training.data import describe, split
from training.descent import Evaluation
from training.export import Trained, export
from training.standardise import standardise
from training.train import train
from training.vae import Vae


@dataclass(frozen=True)
class Fit:
    """A model fitted and exported, ready to score."""

    vae: Vae
    engine: Engine
    trained_on: Array
    """The rows [n, D] that gradients were taken of."""
    held_out: Array
    """The rows [m, D] that it is calibrated with."""
    threshold: float
    """In nats, at a false-alarm rate of 1 %."""
    seconds: float
    """Of training alone."""
    steps: int


def fit(x: Array, config: Config, held_out: Array | None = None) -> Fit:
    """Fit to rows x [n, D], split as nelbo-train does or, with `held_out` given, without any to calibrate with."""
    if held_out is None:
        parts = split(len(x), config.seed, config.split)
        train_x, validation_x, held_out = x[parts.train], x[parts.validation], x[parts.calibration]
    else:
        parts = split(len(x), config.seed, config.split, (0.89, 0.1, 0.01))
        train_x, validation_x = x[parts.train], x[[*parts.validation, *parts.calibration]]
    fitted_to = train_x if config.split == "time" else np.concatenate([train_x, validation_x])
    sensors = describe(fitted_to, [f"s{d}" for d in range(x.shape[1])], [None] * x.shape[1])
    rows = standardise(train_x, sensors), standardise(validation_x, sensors)
    limits = Limits(None, len(os.sched_getaffinity(0)))
    torch.set_num_threads(limits.threads)
    started = time.monotonic()
    fitted = train(config, sensors, rows, limits, None, False, _untold)
    seconds = time.monotonic() - started
    provenance = Provenance(
        data="benchmark",
        data_sha256="0" * 64,
        attribution=None,
        command="benchmark",
        seed=config.seed,
        threads=limits.threads,
        versions={},
        config=config.as_json(),
        rows={"train": len(train_x), "validation": len(validation_x), "calibration": len(held_out)},
        curve=(),
    )
    with tempfile.TemporaryDirectory() as folder:
        earlier = validation_x if config.split == "time" else None
        written = export(Trained("benchmark", fitted.vae, sensors, held_out, provenance, earlier), Path(folder))
        assert written is not None
        engine = Engine(written)
    threshold = written.manifest.calibration.threshold
    return Fit(fitted.vae, engine, train_x, held_out, threshold, seconds, fitted.curve[-1].step)


def _untold(evaluation: Evaluation) -> None:
    """Nobody watches a benchmark train."""


def machine() -> str:
    """The machine that a number was measured on, in a line."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores, {versions}"


def data_folder() -> Path:
    """Where the real tables are: NELBO_DATA, or ../shared/data."""
    return Path(os.environ.get("NELBO_DATA", "../shared/data"))
