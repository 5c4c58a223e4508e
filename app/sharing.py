"""Metrics of several processes: each writes files of its own into one folder, and whoever is asked adds them up.

The folder is a temporary one that goes when the service ends. Files belong to places, and a process that starts takes
the first place that nobody living has: where one died its counters and histograms go on, so that there are never more
files than there were processes at once. What a dead process had in hand, its gauges, is left out.
"""

import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from prometheus_client import values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from app.errors import SettingsError

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client learns, when it is imported, where processes share metrics."""
PREFIX = "nelbo-metrics-"
OWNER = "owner"
"""Whose lock tells that the service of a folder lives."""
ROOM = 2**20
"""Bytes for the files of one process, which are sparse at first."""


@contextmanager
def shared_between_processes(count: int) -> Iterator[None]:
    """So many processes that are started meanwhile add up what they count.

    Raises:
        SettingsError: there is no room for that.
    """
    _remove_what_is_left()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        owner = _lock(Path(folder), "begun")
        assert owner is not None  # the folder is new
        (Path(folder) / "begun.lock").rename(Path(folder) / f"{OWNER}.lock")  # who sees it sees it locked
        _require_room(Path(folder), count)
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER]
            os.close(owner)


def _remove_what_is_left() -> None:
    """Folders of services that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # somebody else's, or gone by now
            if (folder / f"{OWNER}.lock").exists() and (lock := _lock(folder, OWNER)) is not None:
                shutil.rmtree(folder)
                os.close(lock)


def _require_room(folder: Path, count: int) -> None:
    """Refuse a place that is full: a process that writes to memory for which a file has no room is killed."""
    if not hasattr(os, "posix_fallocate"):
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, count * ROOM)
        except OSError as error:
            wanted = f"expected {count * ROOM / 2**20:g} MiB for the metrics of {count} workers"
            raise SettingsError(f"TMPDIR: {tempfile.gettempdir()}: {wanted}: {error.strerror}") from error


def take_place() -> None:
    """Before a process makes its metrics: have them in files of a place of its own, where metrics are shared."""
    if FOLDER in os.environ:
        _place_in(os.environ[FOLDER])


def all_processes(own: Collector) -> Collector:
    """What collects the metrics of all processes that share them, or this process's `own` where none are shared."""
    if FOLDER not in os.environ:
        return own
    _forget_gauges_of_the_dead(Path(os.environ[FOLDER]))
    whole: Collector = MultiProcessCollector(None)  # type: ignore[no-untyped-call]
    return whole


@cache
def _place_in(folder: str) -> int:
    """The place that this process has taken, for as long as it lives: then the kernel lets go of its lock."""
    place = next(place for place in itertools.count() if _lock(Path(folder), place) is not None)
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]
    return place


def _lock(folder: Path, place: int | str) -> int | None:
    """An open file that holds the place; None where a living process has it."""
    lock = os.open(folder / f"{place}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _forget_gauges_of_the_dead(folder: Path) -> None:
    for place in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
        lock = _lock(folder, place)
        if lock is not None:
            mark_process_dead(place)  # type: ignore[no-untyped-call]
            os.close(lock)
