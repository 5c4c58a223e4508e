"""Detection on labelled tables: nelbo's one default beside its rivals and the published results.

    python -m benchmarks.detection [--tables 45_wine,14_glass] [--seeds 0-4] [--no-bootstrap]

The protocol is that of benchmarks/protocol.py. Rivals see every training row; nelbo, as nelbo-train does, finds its
number of steps with 70 % of them and 10 % to stop by, is fitted to these 80 % and calibrates with 20 %. Figures are
percents, means over the seeds: ROC AUC / average precision, and ROC AUC alone where published. The command ends with
status 1, before anything is fitted, where 5-NN does not give its published figure on the tables of which no row is
drawn by chance.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from app.array import Array
from benchmarks.detectors import detectors, nearest_neighbours
from benchmarks.fitting import data_folder, fit, machine
from benchmarks.protocol import FEWEST_ROWS, Parts, Table, draw, drawn, part, published, read
from training.config import Config

TOLERANCE = 0.02
"""Points of ROC AUC by which 5-NN may miss its published figure."""
SHOWN = ("KNN", "DTE-NP", "VAE")
"""The published columns beside every table; the end has all of them."""

Published = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Result:
    """Of one detector, in percent."""

    roc_auc: float
    precision: float
    """Average precision."""

    def __str__(self) -> str:
        return f"{self.roc_auc:6.2f}/{self.precision:6.2f}"


def main(arguments: list[str]) -> int:
    """Print the check, a line a table and the means; the command's status."""
    asked = _parse(arguments)
    print(machine(), flush=True)
    folder = data_folder() / "adbench"
    known = published(folder / "published.csv")
    if unknown := set(asked.tables) - known.keys():
        print(f"no such table: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    files = [folder / f"{name}.npz" for name in asked.tables or known]
    if not _harness_holds(files, known):
        return 1
    results = _tables(files, known, asked)
    _tell_means(results, {name: known[name] for name in results})
    return 0


@dataclass(frozen=True)
class Asked:
    """What the command line says."""

    tables: tuple[str, ...]
    """None of them means all."""
    seeds: range
    fewest_rows: int
    """A smaller table is bootstrapped to this many rows; 0 leaves every table as it is."""


def _parse(arguments: list[str]) -> Asked:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection")
    parser.add_argument("--tables", default="", help="their names, with commas between; all by default")
    parser.add_argument("--seeds", type=seeds, default="0-4", help="one seed, or the first and the last as in 0-4")
    parser.add_argument("--no-bootstrap", action="store_true", help="leave tables under 1000 rows as they are")
    told = parser.parse_args(arguments)
    tables = tuple(name for name in told.tables.split(",") if name)
    return Asked(tables, told.seeds, 0 if told.no_bootstrap else FEWEST_ROWS)


def seeds(text: str) -> range:
    """`3`, or `0-4` for 0 to 4.

    Raises:
        ValueError: the text is of another form, or holds no seed.
    """
    first, _, last = text.partition("-")
    if found := range(int(first), int(last or first) + 1):
        return found
    raise ValueError(f"{text} holds no seed")


def _harness_holds(files: Iterable[Path], known: Published) -> bool:
    """Whether 5-NN gives its published figure wherever the protocol leaves nothing to chance."""
    print("the harness: ROC AUC of 5-NN, measured and published, where no row is drawn by chance", flush=True)
    misses = []
    for table in map(read, files):
        if not drawn(table, FEWEST_ROWS):
            parts, expected = part(table), known[table.name]["KNN"]
            found = judge(parts.anomalous, nearest_neighbours(*parts.standardised())).roc_auc
            misses.append(abs(found - expected))
            print(f"{table.name:20} {found:7.3f} {expected:7.2f} {found - expected:+7.3f}", flush=True)
    holds = all(miss <= TOLERANCE for miss in misses)
    verdict = f"{'it holds' if holds else 'it FAILS'} within {TOLERANCE}" if misses else "none of these tables is such"
    print(f"{verdict}\n", flush=True)
    return holds


def judge(anomalous: npt.NDArray[np.bool_], scores: Array) -> Result:
    """How well scores [m] put the anomalous rows first."""
    return Result(100 * roc_auc_score(anomalous, scores), 100 * average_precision_score(anomalous, scores))


def _tables(files: Iterable[Path], known: Published, asked: Asked) -> dict[str, dict[str, Result]]:
    """Table → detector → its mean over the seeds; a table is printed as soon as it is done."""
    names = (*detectors(0), "nelbo")
    if "PyOD VAE" not in names:
        print("PyOD is not installed: its VAE is left out")
    columns = " ".join([*(f"{name:>13}" for name in names), *(f"{name:>6}" for name in SHOWN)])
    print(f"{'table':20} {'rows':>6} {'D':>3} {columns}   best {'s/fit':>6}", flush=True)
    results = {}
    for table in map(read, files):
        runs, seconds = zip(*(_run(table, seed, asked.fewest_rows) for seed in asked.seeds), strict=True)
        results[table.name] = mean = {name: _mean(run[name] for run in runs) for name in names}
        told = " ".join([*map(str, mean.values()), *(f"{known[table.name][name]:6.2f}" for name in SHOWN)])
        best = max(known[table.name].values())
        size = f"{len(table.x):6} {table.x.shape[1]:3}"
        print(f"{table.name:20} {size} {told} {best:6.2f} {fmean(seconds):6.0f}", flush=True)
    return results


def _run(table: Table, seed: int, fewest_rows: int) -> tuple[dict[str, Result], float]:
    """Every detector on one draw of a table, and the seconds that nelbo's fit took."""
    parts = part(draw(table, seed, fewest_rows))
    train, test = parts.standardised()
    scores = {name: detect(train, test) for name, detect in detectors(seed).items()}
    scores["nelbo"], seconds = _nelbo(parts, seed)
    return {name: judge(parts.anomalous, score) for name, score in scores.items()}, seconds


def _nelbo(parts: Parts, seed: int) -> tuple[Array, float]:
    """Scores of the default configuration on rows in their own units, and the seconds of the fit."""
    model = fit(parts.train, Config(seed=seed))
    return model.engine.score(parts.test).score, model.seconds


def _mean(results: Iterable[Result]) -> Result:
    several = list(results)
    return Result(fmean(each.roc_auc for each in several), fmean(each.precision for each in several))


def _tell_means(results: Mapping[str, Mapping[str, Result]], known: Published) -> None:
    """The mean over the tables of every column, and table by table what nelbo is above or below 5-NN."""
    names = list(next(iter(results.values())))
    print(f"\nmeans of {len(results)} tables, measured")
    for name in names:
        print(f"{name:20} {_mean(result[name] for result in results.values())}")
    print("published, ROC AUC")
    methods = next(iter(known.values()))
    means = {method: fmean(row[method] for row in known.values()) for method in methods}
    for method in sorted(means, key=means.__getitem__, reverse=True):
        print(f"{method:20} {means[method]:6.2f}")
    print("nelbo minus 5-NN, ROC AUC")
    lead = {name: result["nelbo"].roc_auc - result["5-NN"].roc_auc for name, result in results.items()}
    for name in sorted(lead, key=lead.__getitem__):
        print(f"{name:20} {lead[name]:+6.2f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
