"""CUDA beside one CPU core: seconds a run of a graph by the number of its rows, and what IO binding saves of them.

    python -m benchmarks.cuda [MODEL/VERSION …]

A run's rows are what a client would send: they come from the host's memory, and the answers go back there. With IO
binding both have their places on the GPU from the first run on. A run on the CPU is that of one thread.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import onnxruntime as ort

from app import bundle
from app.array import Array
from app.model import open_model
from app.session import open_session
from app.settings import Settings
from benchmarks.processor import processor

BUNDLE = Path("models") / "gas-turbine" / "1"
ROWS = (1, 16, 128, 1024, 4096, 16384)
MOST_ON_CPU = 1024
SECONDS = 0.3


def main() -> int:
    """Print a table for each bundle; 1 where there is no CUDA."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda", description="CUDA beside one CPU core.")
    parser.add_argument("bundles", nargs="*", type=Path, default=[BUNDLE])
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        print("this onnxruntime is built without CUDA: install nelbo[gpu]", file=sys.stderr)
        return 1
    print(f"{_gpu()} beside one thread of {processor()}, onnxruntime {ort.__version__}")
    for path in parser.parse_args().bundles:
        _tell(path.resolve())
    return 0


def _tell(path: Path) -> None:
    model = open_model(path, Settings(device="cuda"))
    x = model.engine.sample(np.random.default_rng(0).standard_normal((max(ROWS), model.manifest.noise_size)))
    on_cpu, on_cuda = open_session(path / bundle.SCORE, "cpu"), open_session(path / bundle.SCORE, "cuda")
    print(f"\n{model}, {bundle.SCORE}:\n")
    print("| rows | CPU, ms | CUDA, ms | with IO binding | CUDA, rows/s |\n|---|---|---|---|---|")
    for count in ROWS:
        print(_row(on_cpu, on_cuda, np.ascontiguousarray(x[:count])), flush=True)


def _row(on_cpu: ort.InferenceSession, on_cuda: ort.InferenceSession, rows: Array) -> str:
    cpu = f"{1e3 * _seconds(lambda: on_cpu.run(None, {'x': rows})):.2f}" if len(rows) <= MOST_ON_CPU else "-"
    cuda = _seconds(lambda: on_cuda.run(None, {"x": rows}))
    bound = _seconds(_bound(on_cuda, rows))
    return f"| {len(rows)} | {cpu} | {1e3 * cuda:.2f} | {bound / cuda:.2f} of it | {len(rows) / cuda:,.0f} |"


def _bound(session: ort.InferenceSession, rows: Array) -> Callable[[], list[Array]]:
    """A run whose inputs and outputs have their places on the GPU."""
    shapes = {
        node.name: answer.shape
        for node, answer in zip(session.get_outputs(), session.run(None, {"x": rows}), strict=True)
    }
    given = ort.OrtValue.ortvalue_from_numpy(rows, "cuda", 0)
    answers = {
        name: ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float64, "cuda", 0) for name, shape in shapes.items()
    }
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", given)
    for name, answer in answers.items():
        binding.bind_ortvalue_output(name, answer)

    def run() -> list[Array]:
        given.update_inplace(rows)
        session.run_with_iobinding(binding)
        return [answer.numpy() for answer in answers.values()]

    return run


def _gpu() -> str:
    told = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, check=True)
    return told.stdout.decode().strip()


def _seconds(run: Callable[[], object]) -> float:
    """Of one run: the median of as many as there is time for."""
    run()
    seconds, end = list[float](), perf_counter() + SECONDS
    while perf_counter() < end or len(seconds) < 3:
        started = perf_counter()
        run()
        seconds.append(perf_counter() - started)
    return median(seconds)


if __name__ == "__main__":
    sys.exit(main())
