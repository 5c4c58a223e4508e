"""A file of sensor readings → readings → split, and what the rows trained on say about each sensor."""

import difflib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from app.array import Array, Index
from app.bundle import sha256
from app.errors import TableError
from app.manifest import Sensor
from app.marks import Told
from app.tables import read_table, split_unit
from training.arrays import read_array
from training.clock import interval

MIN_ROWS = 50
"""Fewer rows than this leave too few held-out ones to say anything about a false-alarm rate."""
FRACTIONS = (0.7, 0.1, 0.2)
"""Of train, validation and calibration."""
SAME = 1e-9
"""Two values closer than this share of the sensor's whole range are one value: rounding, not resolution."""
ROUNDING = 1e-12
"""A range within this share of the values' size is rounding: the sensor is constant."""


@dataclass(frozen=True)
class Readings:
    """A table of sensor readings and where it came from."""

    x: Array
    """[n, D], each sensor in its own unit; NaN where a value is missing. Every row holds at least one value."""
    row: Index
    """[n], each row's number in the file, the first being 1; headers are not counted."""
    line: Index | None
    """[n], the line of a text file that each row starts on, the header being line 1."""
    names: tuple[str, ...]
    units: tuple[str | None, ...]
    file: str
    """The file's name, without its folder."""
    sha256: str
    """Hex SHA-256 of the file's bytes."""
    interval: float | None
    """Seconds from row to row, by a clock among the columns left out; None where there is none."""
    notes: tuple[str, ...]
    """What was detected, left out or looks odd; one sentence each, for the person who trains."""


@dataclass(frozen=True)
class Split:
    """Which rows are for what: ascending indices, every row in exactly one part."""

    train: Index
    validation: Index
    """For early stopping."""
    calibration: Index


def read(
    path: Path,
    *,
    drop: Sequence[str] = (),
    columns: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    decimal: Told | None = None,
) -> Readings:
    """The readings in a CSV, Parquet, NPY or NPZ file.

    Rows without any value are left out and counted in the notes: a gap in a log is no reading.

    Args:
        path: .npy, .npz and .parquet are told by their suffix; any other file is delimited text.
        drop: names of columns to leave out, without their ` [unit]`.
        columns: names of the columns to take, in this order; none named means all of them.
        units: a unit for each of some names; they win over those in the header.
        decimal: the decimal mark of text, where its cells do not prove it.

    Raises:
        TableError: the file cannot be read as a table of numbers; a name is unknown; a column has no value; there are
            fewer rows than `MIN_ROWS` or than columns.
    """
    _require_plain(path)
    table = read_array(path) if path.suffix.lower() in {".npy", ".npz"} else read_table(path, decimal)
    headers = [split_unit(header) for header in table.names]
    names = [name for name, _ in headers]
    _check_known(path, names, [*drop, *columns, *(units or {})])
    for d, name in enumerate(names):
        if name in names[:d]:
            both = f"'{table.names[names.index(name)]}' and '{table.names[d]}'"
            raise TableError(f"{path}: columns {both} differ in their units only; expected two names")
    chosen = [names.index(name) for name in (columns or names) if name not in drop]
    if not chosen:
        raise TableError(f"{path}: no column is left to train on; it has {', '.join(names)}")
    taken = [table.names[d] for d in chosen]
    x = table.numbers(taken, drop_flag="--drop")
    empty = np.isnan(x).all(axis=1)
    _check_content(path, x[~empty], taken)
    lines = table.lines()
    return Readings(
        x=x[~empty],
        row=1 + np.flatnonzero(~empty),
        line=None if lines is None else lines[~empty],
        names=tuple(names[d] for d in chosen),
        units=tuple((units or {}).get(names[d], headers[d][1]) for d in chosen),
        file=path.name,
        sha256=sha256(path),
        interval=interval(table, [name for name in table.names if name not in taken]),
        notes=(table.describe(taken), *_oddities(x, taken, int(empty.sum())), *([] if lines is None else _end(path))),
    )


def split(
    n: int, seed: int, how: Literal["random", "time"], fractions: tuple[float, float, float] = FRACTIONS
) -> Split:
    """Cut n rows into train, validation and calibration.

    Args:
        n: how many rows there are.
        seed: of the permutation; of no effect for "time".
        how: "random" draws the parts by a permutation, "time" takes contiguous blocks in that order.
        fractions: of the three parts; they sum to 1.

    Raises:
        TableError: a part would be empty.
    """
    validation, calibration = (max(1, round(fraction * n)) for fraction in fractions[1:])
    train = n - validation - calibration
    if min(train, validation, calibration) < 1:
        raise TableError(
            f"{n} rows make {train} to train on, {validation} to validate and {calibration} to calibrate; "
            "expected at least one in each part"
        )
    order = np.arange(n) if how == "time" else np.random.default_rng(seed).permutation(n)
    return Split(*(np.sort(part) for part in np.split(order, [train, train + validation])))


def describe(x: Array, names: Sequence[str], units: Sequence[str | None]) -> tuple[Sensor, ...]:
    """What the rows trained on, x [n, D] with NaN where a value is missing, say about each sensor.

    A sensor with one value only, up to rounding, is constant: its scale is a hundredth of the value (0.01 where that is
    0), for want of a spread to measure it by.

    Raises:
        TableError: a sensor has no value in these rows.
    """
    return tuple(_describe(values, name, unit) for values, name, unit in zip(x.T, names, units, strict=True))


def _describe(column: Array, name: str, unit: str | None) -> Sensor:
    values = np.sort(column[~np.isnan(column)])
    if not len(values):
        raise TableError(f"sensor '{name}' has no value in the rows trained on; expected at least one")
    low, high = float(values[0]), float(values[-1])
    constant = high - low <= ROUNDING * max(abs(low), abs(high))
    mean, scale = (low, 0.01 * abs(low) or 0.01) if constant else (float(values.mean()), float(values.std()))
    return Sensor(
        name=name,
        unit=unit,
        mean=mean,
        scale=max(scale, float(np.finfo(np.float64).tiny)),  # the squares of tiny deviations are zero
        min=low,
        max=high,
        resolution=0.0 if constant else _resolution(values),
        constant=constant,
    )


def _resolution(values: Array) -> float:
    """The smallest gap between two different ones of the ascending values, of which there are two at least."""
    gaps = np.diff(values)
    return float(gaps[gaps > SAME * (values[-1] - values[0])].min())


def _require_plain(path: Path) -> None:
    """Refuse what cannot be read twice, for its numbers and for its hash, or does not end."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise TableError(f"{path}: {kind}; expected a plain file, to be read for its numbers and again for its hash")


def _check_known(path: Path, names: Sequence[str], asked: Sequence[str]) -> None:
    for name in asked:
        if name not in names:
            near = difflib.get_close_matches(name, names, cutoff=0.5) or names[:10]
            raise TableError(
                f"{path} has no column '{name}'; it has {', '.join(near)}{', …' * (len(near) < len(names))}"
            )


def _check_content(path: Path, x: Array, names: Sequence[str]) -> None:
    if len(x) < max(MIN_ROWS, len(names)):
        raise TableError(
            f"{path}: {len(x)} rows with values in {len(names)} columns; "
            f"expected at least {max(MIN_ROWS, len(names))} rows: {MIN_ROWS}, or as many as columns where that is more"
        )
    for d in np.flatnonzero(np.isnan(x).all(axis=0))[:1].tolist():
        raise TableError(f"{path}, column '{names[d]}': no value in any row; leave it out with --drop '{names[d]}'")


def _end(path: Path) -> list[str]:
    """Whether the file ends within a line: nothing else tells that it was cut short within its last cell."""
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        ended = stream.read() in {b"\n", b"\r"}
    return [] if ended else ["the last line has no line end: was the file cut short, its last value may be too"]


def _oddities(x: Array, names: Sequence[str], empty: int) -> list[str]:
    notes = [f"{empty} rows without any value are left out"] if empty else []
    for d, name in enumerate(names):
        if (np.diff(x[:, d]) > 0).all():
            notes.append(
                f"column '{name}' rises in every row: leave it out with --drop if it is a clock or a row number"
            )
    return notes
