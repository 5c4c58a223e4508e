"""nelbo beside other model servers: the same graph, one core for the server and one for the load.

    python -m benchmarks.serving [--peers bare,nelbo,fastapi] [--repeats 3] [--seconds 2] [--quick]

Installs each peer in an environment of its own, makes the reference bundle, and in every repeat starts, checks, warms
and measures each server in turn. Writes the tables to stdout as Markdown, then what was aimed at beside what was found.
Needs wrk and taskset, and two cores that nothing else uses.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from app import bundle as bundles
from benchmarks.serving import bundle
from benchmarks.serving.environment import python_for
from benchmarks.serving.goals import goals
from benchmarks.serving.machine import facts
from benchmarks.serving.peers import PEERS, ROW_COUNTS, Peer
from benchmarks.serving.repeat import Plan, Repeat, repeat
from benchmarks.serving.server import ROOT, NotServed
from benchmarks.serving.subject import Subject
from benchmarks.serving.table import tables

TURBINE = Path("gas-turbine") / "1"


def main(arguments: list[str] | None = None) -> None:
    """Install, measure and print."""
    told = _parser().parse_args(arguments)
    peers = tuple(peer for peer in PEERS if peer.key in told.peers)
    repeats, seconds = (1, 1) if told.quick else (told.repeats, told.seconds)
    pythons, missing = _install(peers, told.environments)
    load_core, *_, server_core = sorted(os.sched_getaffinity(0))
    if load_core == server_core:
        sys.exit("needs two cores: one for the server, one for the load")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("making the reference bundle", file=sys.stderr, flush=True)
        subjects = {each.bundle.manifest.name: each for each in _subjects(folder / "models")}
        places = {"models": str(folder / "models"), "graph": str(subjects["reference"].bundle.path / bundles.SCORE)}
        os.sched_setaffinity(0, {load_core})
        plan = Plan(peers, pythons, subjects, server_core, seconds, places, folder)
        found = [_one(plan, number, repeats) for number in range(repeats)]
    for each in found:
        each.reasons.update(missing)
    names = [question.name for peer in peers for question in peer.questions]
    print("\n".join([*facts(peers, repeats, seconds), "", *tables(names, found), "", *goals(found)]))
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes")


def _parser() -> argparse.ArgumentParser:
    keys = [peer.key for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="nelbo beside its peers.")
    parser.add_argument(
        "--peers",
        type=lambda text: text.split(","),
        default=keys,
        metavar="KEY,…",
        help=f"which to measure, of {', '.join(keys)} (default: all)",
    )
    parser.add_argument("--repeats", type=int, default=3, help="of everything (default: 3)")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement, a whole number (default: 2)")
    parser.add_argument("--quick", action="store_true", help="one repeat of one second each, to see that it works")
    parser.add_argument(
        "--environments",
        type=Path,
        default=ROOT / "benchmarks" / ".peers",
        metavar="FOLDER",
        help="where the peers are installed (default: benchmarks/.peers)",
    )
    return parser


def _install(peers: tuple[Peer, ...], folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Each peer's interpreter by its key, and why lines are missing by their names."""
    pythons: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            pythons[peer.key] = python_for(peer, folder)
        except NotServed as error:
            missing |= {question.name: str(error) for question in peer.questions}
    return pythons, missing


def _subjects(repository: Path) -> list[Subject]:
    repository.mkdir()
    shutil.copytree(ROOT / "models" / TURBINE, repository / TURBINE)
    made = bundle.make(repository)
    return [Subject.of(each, ROW_COUNTS) for each in (made, bundles.read(repository / TURBINE))]


def _one(plan: Plan, number: int, repeats: int) -> Repeat:
    print(f"repeat {number + 1} of {repeats}", file=sys.stderr, flush=True)
    return repeat(plan, number)


if __name__ == "__main__":
    main()
