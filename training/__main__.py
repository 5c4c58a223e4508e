"""The command line `nelbo-train`: load → fit → calibrate → export."""

import argparse
import hashlib
import importlib.metadata
import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from app import bundle, findings
from app import report as reports
from app.bundle import Bundle
from app.engine import Engine
from app.errors import NelboError, SettingsError, TableError
from app.inspection import calibration_lines
from app.manifest import NAME_PATTERN, Provenance, Sensor, TrainingPoint
from training import data
from training.checkpoint import Checkpoint, sole_run
from training.config import Config, Limits, read_config
from training.ending import INTERRUPTED, TERMINATED, Terminated, keeping, termination_interrupts
from training.export import Trained, clear, export, next_version
from training.progress import Progress
from training.report import report
from training.standardise import standardise
from training.train import DENSITY, REFIT, density_stage, train

FEW_ROWS = 5000
"""Below it batches are too small for threads to share: they would wait for each other, for long on a busy machine."""
PACKAGES = ("torch", "onnx", "onnxscript", "numpy", "onnxruntime", "nelbo")


def main(arguments: list[str] | None = None) -> int:
    """Train as told; 0 when a bundle was written or kept on purpose, 1 when not, 130 by Ctrl-C, 143 by SIGTERM."""
    argv = sys.argv[1:] if arguments is None else arguments
    told = _parser().parse_args(argv)
    # What is recorded makes the same bytes from the beginning.
    command = shlex.join(["nelbo-train", *(word for word in argv if word != "--resume")])
    try:
        with termination_interrupts():
            return _run(told, command)
    except NelboError as error:
        print(f"nelbo-train: {error}", file=sys.stderr)
        return 1
    except Terminated:
        return TERMINATED
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nelbo-train", description="Fit a model to a table of healthy readings.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"nelbo {importlib.metadata.version('nelbo')}")
    parser.add_argument("data", type=Path, metavar="DATA", help="CSV, Parquet, NPY or NPZ")
    parser.add_argument("--name", required=True, help="the model's name")
    parser.add_argument("--out", type=Path, default=Path("models"), help="the model repository (default: models)")
    parser.add_argument("--config", type=Path, help="run.toml; its keys are in the README")
    parser.add_argument(
        "--drop", action="append", default=[], metavar="COLUMN", help="leave a column out; may be repeated"
    )
    parser.add_argument(
        "--decimal", choices=("point", "comma"), help="the decimal mark of text, where its cells do not prove it"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="of fitting at most, the export comes after; the same seed then need not give the same bytes",
    )
    parser.add_argument(
        "--interval",
        type=float,
        metavar="SECONDS",
        help="from row to row, to tell alarms a day (default: by a column of dates and times that is left out)",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help=f"of torch; the bytes depend on it (default: the cores, at most 4, or 1 below {FEW_ROWS} rows)",
    )
    parser.add_argument("--resume", action="store_true", help="go on from where an interrupted run stands")
    parser.add_argument(
        "--only-if-better",
        action="store_true",
        help="keep the newest version there is unless this one has fewer held-out nats",
    )
    return parser


def _run(told: argparse.Namespace, command: str) -> int:
    if not re.fullmatch(NAME_PATTERN, told.name):
        raise SettingsError(
            f"--name is '{told.name}'; expected lower-case letters, digits, '.', '_' and '-', at most 64"
        )
    if told.interval is not None and not 0 < told.interval < float("inf"):
        raise SettingsError(f"--interval is {told.interval:g}; expected a positive number of seconds")
    if told.minutes is not None and not 0 <= told.minutes < float("inf"):
        raise SettingsError(f"--minutes is {told.minutes:g}; expected 0 or a positive number of minutes")
    config = read_config(told.config)
    config = replace(config, drop=(*config.drop, *told.drop))
    readings = data.read(told.data, drop=config.drop, columns=config.columns, units=config.units, decimal=told.decimal)
    cores = 1 if len(readings.x) < FEW_ROWS else len(os.sched_getaffinity(0))
    limits = Limits(told.minutes, told.threads or min(4, cores))
    torch.set_num_threads(limits.threads)
    for note in readings.notes:
        print(note)
    desk = told.out / ".training" / told.name
    with sole_run(desk):
        clear(told.out, told.name)
        checkpoint = Checkpoint(desk / "checkpoint.pt", _fingerprint(readings, told.decimal, config, limits))
        if checkpoint.file.exists() and not told.resume:
            print(f"{checkpoint.file} is of a run that was cut short, and goes; --resume goes on with one")
        with keeping(checkpoint):
            trained = _train(readings, config, limits, checkpoint, told, command)
            print("exporting, comparing with torch, and reporting, which takes a while", flush=True)
            written = export(
                trained,
                told.out,
                accept=lambda engine: _compare(engine, trained, told),
                report=lambda engine, held_out: report(readings, config, trained, engine, held_out),
            )
        checkpoint.remove()
    if written is not None:
        _tell(written)
    return 0


def _train(
    readings: data.Readings,
    config: Config,
    limits: Limits,
    checkpoint: Checkpoint,
    told: argparse.Namespace,
    command: str,
) -> Trained:
    parts = data.split(len(readings.x), config.seed, config.split)
    fitted_to = parts.train if config.split == "time" else np.concatenate([parts.train, parts.validation])
    sensors = data.describe(readings.x[fitted_to], readings.names, readings.units)
    if all(sensor.constant for sensor in sensors):
        raise TableError(
            f"{readings.file}: every sensor has one value only in the rows trained on; there is no density to fit"
        )
    rows = standardise(readings.x[parts.train], sensors), standardise(readings.x[parts.validation], sensors)
    _announce(readings, config, sensors, parts)
    most = density_stage(config, rows[0].x.shape[1], limits.minutes).steps
    steps = {DENSITY: most} if config.split == "time" else {DENSITY: most, REFIT: most}
    with Progress(steps) as progress:
        fitted = train(config, sensors, rows, limits, checkpoint, told.resume, progress.tell)
    provenance = Provenance(
        data=readings.file,
        data_sha256=readings.sha256,
        attribution=config.attribution,
        command=command,
        seed=config.seed,
        threads=limits.threads,
        versions={package: importlib.metadata.version(package) for package in PACKAGES} | {"python": _python()},
        config=config.as_json(),
        rows={"train": len(parts.train), "validation": len(parts.validation), "calibration": len(parts.calibration)},
        curve=tuple(TrainingPoint(**vars(point)) for point in fitted.curve),
    )
    earlier = readings.x[parts.validation] if config.split == "time" else None
    interval = readings.interval if told.interval is None else told.interval
    return Trained(told.name, fitted.vae, sensors, readings.x[parts.calibration], provenance, earlier, interval)


def _fingerprint(readings: data.Readings, decimal: str | None, config: Config, limits: Limits) -> str:
    """What a checkpoint must agree on to be continued: data and how they are read, configuration, versions, threads."""
    versions = [importlib.metadata.version(package) for package in PACKAGES]
    return hashlib.sha256(repr((readings.sha256, decimal, config, versions, limits.threads)).encode()).hexdigest()


def _announce(readings: data.Readings, config: Config, sensors: tuple[Sensor, ...], parts: data.Split) -> None:
    print(
        f"{readings.file}: {len(readings.x)} rows of {len(sensors)} sensors; {len(parts.train)} to train on, "
        f"{len(parts.validation)} to stop by, {len(parts.calibration)} to calibrate with ({config.split} split)"
    )
    for sensor in sensors:
        if sensor.constant:
            print(
                f"sensor '{sensor.name}' is always {sensor.mean:g}: outside the density, and surprising when it moves"
            )
    fixed = config.fixed_scale(sum(not sensor.constant for sensor in sensors))
    if fixed is not None:
        print(
            f"kl_weight {config.kl_weight:g} is a decoder scale of {fixed:.4g} training scales for every sensor, "
            "at KL weight 1"
        )


def _compare(engine: Engine, trained: Trained, told: argparse.Namespace) -> bool:
    """Tell both versions' held-out nats on the same rows; whether the new one is to be kept."""
    newest = next_version(told.out / told.name) - 1
    if newest == 0:
        return True
    served = Engine(bundle.read(told.out / told.name / str(newest)))
    if served.manifest.sensor_names != engine.manifest.sensor_names:
        print(f"version {newest} has other sensors; their scores cannot be compared")
        return True
    new, old = (float(each.score(trained.held_out).score.mean()) for each in (engine, served))
    print(
        f"held-out nats a row, less is better, on {len(trained.held_out)} rows: {new:.4f} now, "
        f"{old:.4f} with version {newest}"
    )
    if told.only_if_better and not new < old:
        print(f"version {newest} is kept and nothing was written: the new one is no better (--only-if-better)")
        return False
    return True


def _tell(written: Bundle) -> None:
    print(f"{written.path}")
    for line in calibration_lines(written.manifest.calibration):
        print(f"  {line}")
    print("\n".join(findings.verdicts(reports.read(written))))
    print(f"nelbo inspect {written.path} shows all that was found")


def _python() -> str:
    return ".".join(map(str, sys.version_info[:3]))


if __name__ == "__main__":
    sys.exit(main())
