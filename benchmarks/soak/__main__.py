"""Every check that takes a clock or a rate, one after the other, and one table of what was found.

    python -m benchmarks.soak [--only overload,shutdown]

The server runs on one core and the load on the others; nothing else should run meanwhile. Ends with 1 where a check
found something else than it wanted.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.fitting import machine
from benchmarks.serving import bundle
from benchmarks.serving.server import ROOT
from benchmarks.soak.connections import connections
from benchmarks.soak.finding import Finding
from benchmarks.soak.fuzz import fuzz
from benchmarks.soak.killed_training import killed_training
from benchmarks.soak.long_bodies import long_bodies
from benchmarks.soak.memory import memory
from benchmarks.soak.mutations import mutations
from benchmarks.soak.overload import overload
from benchmarks.soak.place import Place
from benchmarks.soak.shutdown import shutdown
from benchmarks.soak.swaps import swaps

CHECKS: dict[str, Callable[[Place], Iterator[Finding]]] = {
    "overload": overload,
    "shutdown": shutdown,
    "connections": connections,
    "memory": memory,
    "fuzz": fuzz,
    "long-bodies": long_bodies,
    "swaps": swaps,
    "mutations": mutations,
    "killed-training": killed_training,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and print the table; 1 where something was not met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Faults, load and time.")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=list(CHECKS),
        metavar="CHECK,…",
        help=f"which, of {', '.join(CHECKS)} (default: all)",
    )
    told = parser.parse_args(arguments)
    unknown = [name for name in told.only if name not in CHECKS]
    if unknown:
        parser.error(f"no check is called {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    started, where = time.monotonic(), machine()
    with tempfile.TemporaryDirectory() as name:
        findings = list(_run(told.only, _place(Path(name))))
    print("\n".join(["", where, "", "| check | found | wanted | met |", "|---|---|---|---|"]))
    print("\n".join(finding.row() for finding in findings))
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes")
    return 0 if all(finding.met for finding in findings) else 1


def _run(names: list[str], place: Place) -> Iterator[Finding]:
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        for finding in CHECKS[name](place):
            print(f"  {finding.row()}", file=sys.stderr, flush=True)
            yield finding


def _place(folder: Path) -> Place:
    """Make the models, and take the load off the server's core."""
    *load, core = sorted(os.sched_getaffinity(0))
    if not load:
        sys.exit("needs two cores: one for the server, one for the load")
    models = folder / "models"
    models.mkdir()
    shutil.copytree(ROOT / "models" / "gas-turbine" / "1", models / "gas-turbine" / "1")
    bundle.make(models)
    os.sched_setaffinity(0, set(load))
    own = folder / "checks"
    own.mkdir()
    return Place(models, own, core)


if __name__ == "__main__":
    sys.exit(main())
