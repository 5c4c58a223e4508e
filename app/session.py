"""One onnxruntime session: a graph opened on a device, its signature checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort

from app.array import Array, Index, has_nan
from app.errors import BundleError, DeviceError

Device = Literal["cpu", "cuda"]
Axes = dict[str, list[int]]
"""By the name of an input or output: its axes after the first."""
ANY = -1
"""An axis of any length."""

BATCH = 128
"""Rows that a session runs at once at most: they fit the caches, and no row's bits depend on where the cuts fall."""

SMALL_BATCH = 32
"""The same where every row has a matrix for each component of a mixture: in rows with missing sensors."""


class Graph:
    """A graph that takes rows of float64; it may be asked from several threads at once."""

    def __init__(self, file: Path, device: Device, inputs: Axes, outputs: Axes, arena: bool = False) -> None:
        """Open `file`; with `arena` it is faster, and keeps as much memory as its largest run took.

        Raises:
            BundleError: it does not open, or has another signature than `inputs` and `outputs`.
        """
        self._session = _open(file, device, arena)
        nodes = (*self._session.get_inputs(), *self._session.get_outputs())
        found = [(node.name, node.type, [a if isinstance(a, int) else ANY for a in node.shape[1:]]) for node in nodes]
        expected = [(name, "tensor(double)", axes) for name, axes in (*inputs.items(), *outputs.items())]
        if found != expected:
            told = f"the graph's signature is {found}, the manifest says {expected}"
            raise BundleError(file.parent, f"{file.name}: {told}")
        self._inputs = list(inputs)
        self._outputs = outputs

    def run(self, *inputs: Array) -> list[Array]:
        """The outputs for these inputs, in one run."""
        feed = {
            name: np.ascontiguousarray(value, dtype=np.float64)
            for name, value in zip(self._inputs, inputs, strict=True)
        }
        answers: list[Array] = self._session.run(list(self._outputs), feed)
        return answers

    def __call__(self, rows: Array) -> list[Array]:
        """The outputs for any number of rows, in batches."""
        if not has_nan(rows):
            parts = [self.run(rows[start : start + BATCH]) for start in range(0, len(rows) or 1, BATCH)]
            return parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]
        results = [np.empty((len(rows), *axes)) for axes in self._outputs.values()]
        for some in batches(rows, BATCH):
            for result, part in zip(results, self.run(rows[some]), strict=True):
                result[some] = part
        return results


def batches(rows: Array, most: int) -> Iterator[Index]:
    """The numbers of all `rows` [n, D], at most so many at a time: complete rows, then others pattern by pattern.

    What the graphs work out for a pattern of missing sensors they do once a run.
    """
    missing = np.isnan(rows)
    holed = missing.any(axis=1)
    complete, others = np.flatnonzero(~holed), np.flatnonzero(holed)
    others = others[np.lexsort(missing[others].T)]
    for numbers, at_once in ((complete, most), (others, min(most, SMALL_BATCH))):
        yield from (numbers[start : start + at_once] for start in range(0, len(numbers), at_once))


def choose_device(wanted: Literal["auto", "cpu", "cuda"], graph: Path) -> Device:
    """The device that works: onnxruntime falls back to the CPU in silence, so what it says it chose is asked for.

    Raises:
        DeviceError: `wanted` is "cuda" and CUDA cannot be had.
    """
    if wanted == "cpu":
        return "cpu"
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        if wanted == "cuda":
            raise DeviceError(
                "device 'cuda' was asked for, but this onnxruntime is built without CUDA: install nelbo[gpu]"
            )
        return "cpu"
    ort.preload_dlls()
    if _open(graph, "cuda").get_providers()[0] == "CUDAExecutionProvider":
        return "cuda"
    if wanted == "cuda":
        raise DeviceError(
            "device 'cuda' was asked for, but onnxruntime could not start CUDA: no GPU, or no CUDA libraries"
        )
    return "cpu"


def _open(file: Path, device: Device, arena: bool = False) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = 3
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device == "cuda":
        providers = [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
    try:
        return ort.InferenceSession(file, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime raises many unrelated classes for a graph that it does not take
        raise BundleError(file.parent, f"{file.name}: onnxruntime does not open it", error) from error
