"""Metrics of several processes: each writes files of its own into one folder, and whoever is asked adds them up.

The files are in a temporary folder that goes when the service ends. A process that is gone leaves its counters and
histograms, which stay counted; its gauges, what it has in hand at the moment, are left out.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client learns, when it is imported, where processes share metrics."""


@contextmanager
def shared_between_processes() -> Iterator[None]:
    """Processes that are started meanwhile add up what they count."""
    with tempfile.TemporaryDirectory(prefix="nelbo-metrics-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]


def all_processes(own: Collector) -> Collector:
    """What collects the metrics of all processes that share them, or this process's `own` where none are shared."""
    if FOLDER not in os.environ:
        return own
    _forget_gauges_of_the_dead(Path(os.environ[FOLDER]))
    whole: Collector = MultiProcessCollector(None)  # type: ignore[no-untyped-call]
    return whole


def _forget_gauges_of_the_dead(folder: Path) -> None:
    for process in {file.stem.rpartition("_")[2] for file in folder.glob("gauge_live*.db")}:
        if not Path("/proc", process).exists():
            mark_process_dead(process)  # type: ignore[no-untyped-call]
