"""Two workers beside one: `nelbo serve --workers 2` against `--workers 1`, in turn.

    python -m benchmarks.serving.workers [--repeats 3] [--seconds 5]

With four cores or more the servers have all but the load generator's, which gives the ratio of their requests a second;
the aim is 1.8. With fewer the load shares their cores, and what is told is the share of a core that each process took.
Needs wrk and taskset.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app import bundle as bundles
from benchmarks.serving import bundle
from benchmarks.serving.closed_loop import closed_loop
from benchmarks.serving.environment import python_for
from benchmarks.serving.peers import NELBO, PEERS, Cell
from benchmarks.serving.server import running
from benchmarks.serving.spread import Spread, number
from benchmarks.serving.subject import Subject

CELLS = (Cell(1, 32), Cell(256, 32))
ENOUGH_CORES = 4
LEAST_RATIO = 1.8
SERVED_CORES = 2
IDLE = 0.01
"""Share of a core below which a process, such as one that watches the workers, is not told."""


@dataclass(frozen=True)
class Worked:
    """What so many workers did under one load."""

    rate: float
    """Requests a second."""
    shares: tuple[float, ...]
    """Of a core, each process, the busiest first."""


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.workers", description="Two workers beside one.")
    parser.add_argument("--repeats", type=int, default=3, help="of everything (default: 3)")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement, a whole number (default: 5)")
    told = parser.parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = Subject.of(bundle.make(folder), tuple(cell.rows for cell in CELLS))
        served_by = cores[-SERVED_CORES:]
        if len(cores) >= ENOUGH_CORES:
            os.sched_setaffinity(0, set(cores[:-SERVED_CORES]))
        found = [
            {workers: worked(subject, served_by, workers, told.seconds) for workers in (1, 2)}
            for _ in range(told.repeats)
        ]
    for cell in CELLS:
        for line in lines(cell, [{workers: cells[cell] for workers, cells in each.items()} for each in found], cores):
            print(line)


def worked(subject: Subject, cores: list[int], workers: int, seconds: int) -> dict[Cell, Worked]:
    """Start nelbo with so many workers on `cores`, and load it."""
    peer = next(peer for peer in PEERS if peer.key == "nelbo")
    question = next(question for question in peer.questions if question.name == NELBO)
    places = {"models": str(subject.bundle.path.parents[1]), "graph": str(subject.bundle.path / bundles.SCORE)}
    log = subject.bundle.path.parents[1] / ".log"
    found: dict[Cell, Worked] = {}
    more = ("--workers", str(workers))
    with running(peer, python_for(peer, Path()), cores, places, log, more) as server:
        for cell in CELLS:
            subject.check(server, question, cell.rows)
            post = subject.post(question, cell.rows)
            closed_loop(server.port, post, cell.connections, 1)
            before = server.cpu_seconds()
            seen = closed_loop(server.port, post, cell.connections, seconds)
            after = server.cpu_seconds()
            spent = sorted(((after[process] - before.get(process, 0)) / seconds for process in after), reverse=True)
            found[cell] = Worked(seen.rate, tuple(share for share in spent if share > IDLE))
    return found


def lines(cell: Cell, repeats: list[dict[int, Worked]], cores: list[int]) -> list[str]:
    """What one load came to, as lines of Markdown."""
    told = [f"- rows a request: {cell.rows}, connections: {cell.connections}"]
    for workers in (1, 2):
        rate = Spread.of([each[workers].rate for each in repeats]).text()
        shares = ", ".join(f"{share:.0%}" for share in repeats[-1][workers].shares)
        told.append(f"  - workers: {workers}, {rate} requests/s; of a core, each process: {shares}")
    ratio = Spread.of([each[2].rate / each[1].rate for each in repeats])
    if len(cores) >= ENOUGH_CORES:
        verdict = "met" if ratio.median >= LEAST_RATIO else "missed"
        return [*told, f"  - ratio {ratio.text()}, at least {number(LEAST_RATIO, 2)}: {verdict}"]
    return [*told, f"  - ratio {ratio.text()}; no aim with {len(cores)} cores, which the load shares"]


if __name__ == "__main__":
    main()
