"""The semi-supervised protocol of published tables on ADBench: which rows are trained on and which are tested.

After Livernoche et al. 2023, "On Diffusion Modeling for Anomaly Detection", whose results are the published columns.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.array import Array

FEWEST_ROWS = 1000
"""A table with fewer rows is bootstrapped to this many. Copies of training rows are then tested too."""
MOST_ROWS = 50_000
"""A table with more rows is subsampled to this many."""


@dataclass(frozen=True)
class Table:
    """A labelled table."""

    name: str
    x: Array
    """[n, D]"""
    anomalous: npt.NDArray[np.bool_]
    """[n]"""


@dataclass(frozen=True)
class Parts:
    """What is trained on and what is tested, in the columns' own units."""

    train: Array
    """[n, D], none of them anomalous."""
    test: Array
    """[m, D], the other half of the normal rows and then every anomaly."""
    anomalous: npt.NDArray[np.bool_]
    """[m]"""

    def standardised(self) -> tuple[Array, Array]:
        """Both parts by the training part's mean and standard deviation; a constant column keeps its unit."""
        mean, scale = self.train.mean(axis=0), self.train.std(axis=0)
        scale[self.train.min(axis=0) == self.train.max(axis=0)] = 1.0
        return (self.train - mean) / scale, (self.test - mean) / scale


def read(file: Path) -> Table:
    """The table in an npz file of `X` [n, D] and `y` [n], 1 where anomalous."""
    with np.load(file) as stored:
        return Table(file.stem, stored["X"].astype(np.float64), stored["y"].ravel() == 1)


def drawn(table: Table, fewest_rows: int) -> bool:
    """Whether chance decides which rows are taken, so that the seed matters."""
    return not fewest_rows <= len(table.x) <= MOST_ROWS


def draw(table: Table, seed: int, fewest_rows: int = FEWEST_ROWS) -> Table:
    """The table, bootstrapped up to `fewest_rows` or subsampled down to `MOST_ROWS`; 0 is never to bootstrap.

    The generator is numpy's legacy one, so that the rows are those of the published results.
    """
    if not drawn(table, fewest_rows):
        return table
    rows = len(table.x)
    size = fewest_rows if rows < fewest_rows else MOST_ROWS
    taken = np.random.RandomState(seed).choice(rows, size, replace=rows < fewest_rows)
    return Table(table.name, table.x[taken], table.anomalous[taken])


def part(table: Table) -> Parts:
    """Train on the first half of the normal rows, in their order; test on the other half and every anomaly."""
    normal, anomalies = table.x[~table.anomalous], table.x[table.anomalous]
    half = round(len(normal) / 2)  # n and a half to the even one: 5-NN gives its published figures only so
    test = np.concatenate([normal[half:], anomalies])
    return Parts(normal[:half], test, np.arange(len(test)) >= len(normal) - half)


def published(file: Path) -> dict[str, dict[str, float]]:
    """Table → method → ROC AUC in percent, the mean of seeds 0-4."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {row["dataset"]: {key: float(row[key]) for key in row if key != "dataset"} for row in rows}
