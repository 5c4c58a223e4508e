"""Anomalous stretches of the server tables and the sensors that caused them, as those who labelled them say."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.array import Array


@dataclass(frozen=True)
class Segment:
    """A stretch of anomalous rows."""

    first: int
    last: int
    """Both are rows counted from 0. Some files name the row after the last one here: the labels say which."""
    causes: frozenset[int]
    """Columns, counted from 0."""

    def rows(self, label: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.int64]:
        """The labelled rows of the stretch, at most `most` of them at even distances."""
        labelled = np.flatnonzero(label[self.first : self.last + 1]) + self.first
        places = np.linspace(0, len(labelled) - 1, min(most, len(labelled))).round().astype(np.int64)
        return labelled.take(places)


@dataclass(frozen=True)
class ServerTable:
    """One server: what it does when it is well, what it did later, and what was wrong then."""

    name: str
    train: Array
    """[n, D]"""
    test: Array
    """[m, D]"""
    label: npt.NDArray[np.bool_]
    """[m], true where anomalous."""
    segments: tuple[Segment, ...]


def parse(text: str) -> tuple[Segment, ...]:
    """Segments from lines `first-last:cause,cause,…`, rows counted from 0 and columns from 1.

    Raises:
        ValueError: a line is of another form, or names no cause.
    """
    return tuple(_segment(line) for line in text.split())


def _segment(line: str) -> Segment:
    stretch, _, causes = line.partition(":")
    first, _, last = stretch.partition("-")
    return Segment(int(first), int(last), frozenset(int(cause) - 1 for cause in causes.split(",")))


def read(file: Path) -> ServerTable:
    """The table in an npz file, with the causes in the `.causes.txt` beside it."""
    with np.load(file) as stored:
        train, test = stored["train"].astype(np.float64), stored["test"].astype(np.float64)
        label = stored["label"].ravel() > 0
    causes = file.with_suffix(".causes.txt").read_text(encoding="utf-8")
    return ServerTable(file.stem, train, test, label, parse(causes))
