"""A training run that is killed again and again, and gone on with: it comes to the bytes of one left alone."""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from app import bundle
from benchmarks.serving.bundle import rows
from benchmarks.serving.server import ROOT
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place

KILLS = 10
ARGUMENTS = ["plant.csv", "--name", "plant", "--config", "run.toml", "--threads", "1"]


def killed_training(place: Place) -> Iterator[Finding]:
    """Kill -9 at random moments of a run, then let it end."""
    alone = _lay_out(place.folder / "alone")
    started = time.monotonic()
    _begin(alone).wait()
    seconds = time.monotonic() - started
    folder, moments = _lay_out(place.folder / "killed"), random.Random(20)
    killed = 0
    while killed < KILLS:
        run = _begin(folder)
        try:
            run.wait(moments.uniform(0.2, 1) * seconds)
            shutil.rmtree(folder / "models")  # it came to an end: again from the beginning
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            killed += 1
    _begin(folder).wait()
    same = _sums(folder) is not None and _sums(folder) == _sums(alone)
    left = sorted(entry.name for entry in (folder / "models").iterdir())
    yield Finding(f"{KILLS} kills of one training: the bundle's hashes", "equal" if same else "other", "equal", same)
    wanted = [".training", "plant"]
    yield Finding("the same: left in the folder of models", ", ".join(left), ", ".join(wanted), left == wanted)


def _lay_out(folder: Path) -> Path:
    """A table of eight sensors and a quick run.toml."""
    folder.mkdir()
    lines = [",".join(f"s{number}" for number in range(8))]
    lines += [",".join(f"{value:.6g}" for value in row) for row in rows(400, seed=9)]
    (folder / "plant.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / "run.toml").write_text("steps = 800\nwidth = 8\ncomponents = 2\n", encoding="utf-8")
    return folder


def _begin(folder: Path) -> subprocess.Popen[bytes]:
    """`nelbo-train` in a process of its own, going on where there is something to go on with."""
    kept = folder / "models" / ".training" / "plant" / "checkpoint.pt"
    command = [sys.executable, "-m", "training", *ARGUMENTS, *(["--resume"] if kept.exists() else [])]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _sums(folder: Path) -> bytes | None:
    file = folder / "models" / "plant" / "1" / bundle.SUMS
    return file.read_bytes() if file.exists() else None
