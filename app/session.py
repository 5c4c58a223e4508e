"""One onnxruntime session: a graph opened on a device, its signature checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import onnxruntime as ort

from app.array import Array, Index, has_nan
from app.errors import BundleError, DeviceError
from app.long import pause

Device = Literal["cpu", "cuda"]
Axes = dict[str, list[int]]
"""By the name of an input or output: its axes after the first."""
ANY = -1
"""An axis of any length."""
ORT_ERROR = 3
"""What onnxruntime calls a message of this severity or a greater one."""


class RunSize(NamedTuple):
    """How much a session runs at once at most.

    No row's bits depend on where the cuts fall; on CUDA those of a row with missing sensors may.
    """

    complete: int
    """Rows."""
    holed: int
    """Rows with missing sensors, each of which has a matrix for each component of a mixture."""
    draws: int
    """Rows × draws."""


RUN_SIZES: dict[Device, RunSize] = {
    "cpu": RunSize(128, 32, 4096),  # fits the caches
    "cuda": RunSize(1024, 256, 16384),  # takes hardly longer than one row: python -m benchmarks.cuda
}


class Unit(NamedTuple):
    """What the work of a graph is counted in."""

    rows: int
    """As many as take the time of one."""
    seconds: float
    """What it is thought to take before any was measured; it is never thought to take more."""


UNITS: dict[Device, Unit] = {
    "cpu": Unit(1, 2e-4),
    "cuda": Unit(RUN_SIZES["cuda"].complete, 4e-3),
}


class Graph:
    """A graph that takes rows of float64; it may be asked from several threads at once."""

    def __init__(self, file: Path, device: Device, inputs: Axes, outputs: Axes, arena: bool = False) -> None:
        """Open `file`; with `arena` it is faster, and keeps as much memory as its largest run took.

        Raises:
            BundleError: it does not open, or has another signature than `inputs` and `outputs`.
        """
        self._session = open_session(file, device, arena)
        self._device = device
        self._size = RUN_SIZES[device]
        nodes = (*self._session.get_inputs(), *self._session.get_outputs())
        found = [(node.name, node.type, [a if isinstance(a, int) else ANY for a in node.shape[1:]]) for node in nodes]
        expected = [(name, "tensor(double)", axes) for name, axes in (*inputs.items(), *outputs.items())]
        if found != expected:
            told = f"the graph's signature is {found}, the manifest says {expected}"
            raise BundleError(file.parent, f"{file.name}: {told}")
        self._inputs = list(inputs)
        self._outputs = outputs
        self.has_failed = False
        """Whether a run ended in an error; who has seen to it takes this back."""

    def run(self, size: int, rows: Array, *others: Array) -> list[Array]:
        """The outputs for `size` rows or fewer, in one run; no other input has an axis of rows."""
        pause()
        count = len(rows)
        if self._device == "cuda":
            # cuBLAS takes another kernel, and a row other bits, where there are more or fewer rows.
            rows = np.resize(rows, (size, *rows.shape[1:]))
        feed = {
            name: np.ascontiguousarray(value, dtype=np.float64)
            for name, value in zip(self._inputs, (rows, *others), strict=True)
        }
        try:
            answers: list[Array] = self._session.run(list(self._outputs), feed)
        except Exception:
            self.has_failed = True
            raise
        return answers if len(rows) == count else [answer[:count] for answer in answers]

    def __call__(self, rows: Array) -> list[Array]:
        """The outputs for any number of rows, in batches."""
        size = self._size.complete
        if not has_nan(rows):
            parts = [self.run(size, rows[start : start + size]) for start in range(0, len(rows) or 1, size)]
            return parts[0] if len(parts) == 1 else [np.concatenate(column) for column in zip(*parts, strict=True)]
        results = [np.empty((len(rows), *axes)) for axes in self._outputs.values()]
        for at_most, some in batches(rows, size, self._size.holed):
            for result, part in zip(results, self.run(at_most, rows[some]), strict=True):
                result[some] = part
        return results


def batches(rows: Array, complete: int, holed: int) -> Iterator[tuple[int, Index]]:
    """The numbers of all `rows` [n, D], and how many there are at most: complete rows, then others pattern by pattern.

    What the graphs work out for a pattern of missing sensors they do once a run.
    """
    missing = np.isnan(rows)
    any_missing = missing.any(axis=1)
    whole, others = np.flatnonzero(~any_missing), np.flatnonzero(any_missing)
    others = others[np.lexsort(missing[others].T)]
    for numbers, size in ((whole, complete), (others, holed)):
        yield from ((size, numbers[start : start + size]) for start in range(0, len(numbers), size))


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
    ort.set_default_logger_severity(ORT_ERROR)  # ScatterND warns at every load of indices that come twice: ours do not
    if open_session(graph, "cuda").get_providers()[0] == "CUDAExecutionProvider":
        return "cuda"
    if wanted == "cuda":
        raise DeviceError(
            "device 'cuda' was asked for, but onnxruntime could not start CUDA: no GPU, or no CUDA libraries"
        )
    return "cpu"


def open_session(file: Path, device: Device, arena: bool = False) -> ort.InferenceSession:
    """The graph as onnxruntime's own session, on one thread; on the CPU where CUDA cannot be had.

    Raises:
        BundleError: onnxruntime does not open it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = ORT_ERROR
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device == "cuda":
        # Rows have more digits than tf32 keeps; runs are all alike, so that the arena need not grow by leaps.
        told = {"use_tf32": "0", "arena_extend_strategy": "kSameAsRequested"}
        providers = [("CUDAExecutionProvider", told), "CPUExecutionProvider"]
    try:
        return ort.InferenceSession(file, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime raises many unrelated classes for a graph that it does not take
        raise BundleError(file.parent, f"{file.name}: onnxruntime does not open it", error) from error
