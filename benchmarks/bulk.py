"""`nelbo score` beside the bare graph: rows a second on one core and on all, from CSV and from Parquet, and its memory.

    python -m benchmarks.bulk [--rows 100000] [--rounds 3]

The table is rows that the bundled model samples, with five digits each, repeated; a column of times passes through. On
one core, in each round in turn: onnxruntime's session alone and the engine, on arrays in memory, then the command. Its
rate is that of the rows beyond the first few, so that the start of a process, told apart, does not count. Ratios are to
the bare graph of the same round, by the clock and by CPU seconds, which a busy machine moves less; told are medians.
The aim is 0.9.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
import onnxruntime as ort
import pyarrow.csv
import pyarrow.parquet

from app import bundle, cpus
from app.array import Array
from app.model import open_model
from app.session import RUN_SIZES
from app.settings import Settings

MODELS = Path("models")
BUNDLE = MODELS / "gas-turbine" / "1"
BATCH = RUN_SIZES["cpu"].complete
KINDS = 4096
"""Different rows; they come again and again."""
FEW = 100
"""Rows of the small table."""
PROGRAM = """
import re
from app.__main__ import main
assert main() == 0
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""
"""The command, and then the most memory that it had, in KiB: what wait4 tells of it begins with its parent's."""


@dataclass(frozen=True)
class Tables:
    """The same rows as text, as Parquet and as an array, and the first few of them."""

    rows: Array
    csv: Path
    parquet: Path
    few_csv: Path
    few_parquet: Path


@dataclass(frozen=True)
class Run:
    """How long so many rows took."""

    seconds: float
    cpu_seconds: float
    """Of all processes."""
    peak: int = 0
    """Memory, in MiB at most, of the process that reads and writes."""


def main(arguments: list[str] | None = None) -> None:
    """Measure in turns and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk", description="nelbo score beside the bare graph.")
    parser.add_argument("--rows", type=int, default=100_000, help="of the table (default: 100000)")
    parser.add_argument("--rounds", type=int, default=3, help="of all measurements in turn (default: 3)")
    told = parser.parse_args(arguments)
    allowed, workers = os.sched_getaffinity(0), cpus.available()
    with tempfile.TemporaryDirectory() as folder:
        tables = make(Path(folder), told.rows)
        os.sched_setaffinity(0, {max(allowed)})
        one_core = [alone(tables) | commanded(tables, 1) for _ in range(told.rounds)]
        os.sched_setaffinity(0, allowed)
        all_cores = [commanded(tables, workers) for _ in range(told.rounds)]
    bare = [runs["bare graph"] for runs in one_core]
    print(f"{told.rows:,} rows of {tables.rows.shape[1]} sensors, {told.rounds} rounds, on one core:")
    tell(one_core, bare, told.rows)
    print(f"\n{workers} processes on {workers} CPUs, their start included:")
    tell(all_cores, bare, told.rows)


def tell(rounds: list[dict[str, Run]], bare: list[Run], rows: int) -> None:
    """Print medians over the rounds; `bare` is what each round is compared with."""
    print(f"{'':14} {'rows/s':>9} {'× bare':>7} {'× bare by CPU':>14} {'peak, MiB':>10}")
    for name in rounds[0]:
        runs = [each[name] for each in rounds]
        rate = median(rows / run.seconds for run in runs)
        ratio = median(one.seconds / run.seconds for run, one in zip(runs, bare, strict=True))
        by_cpu = median(one.cpu_seconds / run.cpu_seconds for run, one in zip(runs, bare, strict=True))
        peak = max(run.peak for run in runs) or ""
        print(f"{name:14} {rate:9,.0f} {ratio:7.3f} {by_cpu:14.3f} {peak:>10}")


def make(folder: Path, rows: int) -> Tables:
    """Write the tables."""
    model = open_model(BUNDLE.resolve(), Settings(device="cpu"))
    noise = np.random.default_rng(0).standard_normal((KINDS, model.manifest.noise_size))
    lines = [",".join(f"{value:.5g}" for value in row) for row in model.engine.sample(noise).tolist()]
    tables = Tables(
        rows=np.resize(np.array([line.split(",") for line in lines], dtype=float), (rows, len(model.manifest.sensors))),
        csv=folder / "rows.csv",
        parquet=folder / "rows.parquet",
        few_csv=folder / "few.csv",
        few_parquet=folder / "few.parquet",
    )
    for text, parquet, count in ((tables.csv, tables.parquet, rows), (tables.few_csv, tables.few_parquet, FEW)):
        with text.open("w") as stream:
            stream.write(",".join(["time", *model.manifest.sensor_names]) + "\n")
            stream.writelines(f"2024-01-01 {row % 24:02}:00,{lines[row % KINDS]}\n" for row in range(count))
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(text), parquet)
    return tables


def alone(tables: Tables) -> dict[str, Run]:
    """The graph in onnxruntime's session as it comes, and in the engine."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(BUNDLE / bundle.SCORE, options, providers=["CPUExecutionProvider"])
    engine = open_model(BUNDLE.resolve(), Settings(device="cpu")).engine
    return {
        "bare graph": in_batches(tables.rows, lambda x: session.run(None, {"x": x})),
        "engine": in_batches(tables.rows, engine.score),
    }


def in_batches(x: Array, score: Callable[[Array], object]) -> Run:
    """Score `BATCH` rows at a time; the first batches, in which memory is found, do not count."""
    for start in range(0, 10 * BATCH, BATCH):
        score(x[start : start + BATCH])
    started, used = perf_counter(), process_time()
    for start in range(0, len(x), BATCH):
        score(x[start : start + BATCH])
    return Run(perf_counter() - started, process_time() - used)


def commanded(tables: Tables, workers: int) -> dict[str, Run]:
    """The command, from text and from Parquet, without the time that it takes for a few rows."""
    runs = {}
    for name, table, few in (("CSV", tables.csv, tables.few_csv), ("Parquet", tables.parquet, tables.few_parquet)):
        start, whole = command(few, workers), command(table, workers)
        seconds, cpu_seconds = whole.seconds - start.seconds, whole.cpu_seconds - start.cpu_seconds
        runs[name] = Run(seconds, cpu_seconds, whole.peak)
    return runs


def command(table: Path, workers: int) -> Run:
    """One run of `nelbo score`."""
    line = [sys.executable, "-c", PROGRAM, "score", str(table), "-o", str(table.with_stem("scored"))]
    line += ["--workers", str(workers), "--models", str(MODELS), "--device", "cpu"]
    started, used = perf_counter(), children_cpu_seconds()
    said = subprocess.run(line, stdout=subprocess.PIPE, check=True).stdout
    seconds, cpu_seconds = perf_counter() - started, children_cpu_seconds() - used
    return Run(seconds, cpu_seconds, int(said) // 1024)


def children_cpu_seconds() -> float:
    """CPU time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
