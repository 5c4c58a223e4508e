"""onnxruntime in a loop, without any server: what the graph itself costs."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app import bundle
from app.array import Array
from app.bundle import Bundle
from app.session import Graph


def seconds_a_row(opened: Bundle, rows: Array, core: int, seconds: float) -> float:
    """What a row costs of score.onnx, run on rows [n, D] all at once for so many seconds on one core."""
    sensors = len(opened.manifest.sensors)
    outputs: dict[str, list[int]] = {"score": [], "kl": [], "per_sensor": [sensors]}
    graph = Graph(opened.path / bundle.SCORE, "cpu", {"x": [sensors]}, outputs, arena=True)
    with pinned(core):
        graph.run(rows)
        runs, started = 0, time.perf_counter()
        while (spent := time.perf_counter() - started) < seconds:
            graph.run(rows)
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
