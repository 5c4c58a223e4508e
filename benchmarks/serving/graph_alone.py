"""onnxruntime in a loop, without any server: what the graph itself costs."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.array import Array
from app.session import Graph


def score_graph(file: Path, sensors: int) -> Graph:
    """score.onnx, opened as the service opens it."""
    return Graph(file, "cpu", {"x": [sensors]}, {"score": [], "kl": [], "per_sensor": [sensors]}, arena=True)


def seconds_a_row(graph: Graph, rows: Array, core: int, seconds: float) -> float:
    """What a row costs, where rows [n, D] run all at once for so many seconds on one core."""
    with pinned(core):
        graph.run(len(rows), rows)
        runs, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            graph.run(len(rows), rows)
            runs += 1
    return spent / (runs * len(rows))


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """This thread on `core` alone, for a while."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
