"""A trained model to a bundle: written whole, compared with torch, read back with app, renamed into place."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from app import bundle
from app import report as reports
from app.array import Array
from app.bundle import Bundle
from app.engine import Engine
from app.errors import NelboError
from app.manifest import Calibration, Manifest, Probe, Provenance, Sensor
from app.probe import Proof
from app.report import Report
from app.unfinished import sync_folder
from training.calibrate import HeldOut
from training.graphs import Graphs
from training.onnx_file import OPSET, write_graph, write_graphs
from training.parity import TorchModel, rows_to_compare
from training.prior import MixturePrior
from training.questions import OF_ROWS
from training.vae import Vae

MAKING = ".making-"
"""A bundle that is being made is in a folder whose name begins like this, and ends with the model's."""
PROBE = Probe(rows=16, absolute=1e-4, relative=1e-5)
PROBE_DRAWS = 8
COMPARED_ROWS = 1024
NOT_YET = Calibration(rows=1, false_alarm_rate=0.5, threshold=0.0, realised_rate_90=(0.0, 1.0), held_out_nats=0.0)
"""Stands in the manifest while the graphs score the rows that calibrate them; it is never sealed."""


class ExportError(NelboError):
    """A model that must not become a bundle; the text says which answer differs."""


@dataclass(frozen=True)
class Trained:
    """What a bundle is made from."""

    name: str
    vae: Vae
    sensors: tuple[Sensor, ...]
    held_out: Array
    """Rows that training never saw, [n, D] in the sensors' units, NaN where missing."""
    provenance: Provenance
    earlier: Array | None = None
    """The validation rows, [v, D], where all of them are before the held-out ones: the split is in time order."""
    interval: float | None = None
    """Seconds from row to row of the table, where they are known."""


def export(
    trained: Trained,
    out: Path,
    accept: Callable[[Engine], bool] = lambda engine: True,
    report: Callable[[Engine, HeldOut], Report] = lambda engine, held_out: Report(),
) -> Bundle | None:
    """Write the next version of `trained.name` under `out`, and return it as the app reads it.

    `report` is what the bundle says of how it came about, made with the graphs and their scores of the held-out rows.
    `accept` is asked last, with the graphs as they will be served; where it says no, nothing is left behind and the
    answer is None.

    Raises:
        ExportError: onnxruntime's answers differ from torch's by more than the probe's tolerance.
        OSError: it cannot be written; nothing of it is left behind.
    """
    version = next_version(out / trained.name)
    target = out / trained.name / str(version)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=MAKING, suffix=f"-{trained.name}") as making:
        folder = Path(making) / trained.name / str(version)
        folder.mkdir(parents=True)
        _write(folder, trained, version, report)
        if not accept(Engine(bundle.read(folder))):
            return None
        _sync(folder)
        folder.rename(target)
        sync_folder(target.parent)
    return bundle.read(target)


def clear(out: Path, name: str) -> None:
    """Remove what exports of `name` left half-made under `out` when they were killed; none may be under way."""
    if out.is_dir():
        for entry in out.iterdir():
            if re.fullmatch(rf"{re.escape(MAKING)}[a-z0-9_]+-{re.escape(name)}", entry.name):
                shutil.rmtree(entry, ignore_errors=True)


def next_version(folder: Path) -> int:
    """One above the highest version in a model's folder, 1 where there is none."""
    taken = [int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()] if folder.is_dir() else []
    return max(taken, default=0) + 1


def _sync(folder: Path) -> None:
    """See that a bundle's files are on disk before its name is."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(folder)


def _write(folder: Path, trained: Trained, version: int, report: Callable[[Engine, HeldOut], Report]) -> None:
    graphs = Graphs(trained.vae, trained.sensors).eval()
    torch_model = TorchModel(graphs)
    x = torch.zeros(3, len(trained.sensors), dtype=torch.float64)
    x[1, 0] = x[2] = torch.nan
    noise = torch.zeros(3, torch_model.sample.noise_size, dtype=torch.float64)
    draws = torch.zeros(5, 1 + graphs.latents, dtype=torch.float64)
    write_graphs(
        torch_model.of_rows,
        {"x": x, "noise": draws},
        OF_ROWS,
        {
            folder / bundle.ENCODE: {"latent_mean": "mean", "latent_scale": "scale"},
            folder / bundle.RECONSTRUCT: {"mean": "mean", "scale": "scale"},
            folder / bundle.SCORE: {"score": "score", "kl": "kl", "per_sensor": "per_sensor"},
            folder / bundle.IMPORTANCE: {"log_weight": "log_weight", "draw_mean": "mean", "draw_scale": "scale"},
        },
    )
    write_graph(folder / bundle.SAMPLE, torch_model.sample, {"noise": noise}, ["x"])
    _proof(torch_model, trained, PROBE.rows).write(folder / bundle.PROBE)
    manifest = _manifest(trained, version, graphs, torch_model.sample.noise_size)
    engine = Engine(Bundle(folder, manifest, digest=""))
    _require_parity(engine, torch_model, trained)
    held_out = HeldOut.of(engine, trained.held_out, trained.earlier)
    held_out.write(folder / bundle.CALIBRATION)
    reports.write(report(engine, held_out), folder)
    sensors = tuple(
        sensor.model_copy(update={"usual_nats": nats})
        for sensor, nats in zip(trained.sensors, held_out.usual.tolist(), strict=True)
    )
    calibration = held_out.account(trained.interval)
    bundle.seal(folder, manifest.model_copy(update={"calibration": calibration, "sensors": sensors}))


def _manifest(trained: Trained, version: int, graphs: Graphs, noise_size: int) -> Manifest:
    return Manifest(
        format=bundle.FORMAT,
        name=trained.name,
        version=version,
        sensors=trained.sensors,
        latent_size=graphs.latents,
        decoder="student_t" if trained.vae.decode.scale.kind == "student_t" else "gaussian",
        decoder_scale=trained.vae.decode.scale.kind,
        prior="mixture" if isinstance(trained.vae.prior, MixturePrior) else "normal",
        draws=graphs.draws,
        noise_size=noise_size,
        opset=OPSET,
        probe=PROBE,
        calibration=NOT_YET,
        provenance=trained.provenance,
    )


def _proof(torch_model: TorchModel, trained: Trained, rows: int) -> Proof:
    x = rows_to_compare(trained.held_out, trained.sensors, rows)
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((len(x), torch_model.sample.noise_size))
    draws = np.column_stack(
        [generator.random(PROBE_DRAWS), generator.standard_normal((PROBE_DRAWS, torch_model.latents))]
    )
    return Proof(x, noise, draws, torch_model.answers(x, noise, draws))


def _require_parity(engine: Engine, torch_model: TorchModel, trained: Trained) -> None:
    proof = _proof(torch_model, trained, COMPARED_ROWS)
    sensor_scale = np.array([sensor.scale for sensor in trained.sensors])
    name, excess = engine.answers(proof.x, proof.noise, proof.draws).worst(proof.answers, sensor_scale, PROBE)
    if not excess <= 0:
        raise ExportError(
            f"onnxruntime's {name} differs from torch's by {excess:.3g} more than "
            f"{PROBE.absolute} + {PROBE.relative}·size on {COMPARED_ROWS} rows; nothing was exported"
        )
