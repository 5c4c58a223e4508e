"""The time from row to row, from a column of dates and times that is not trained on."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from app.dialect import split
from app.parquet import ParquetTable
from app.tables import TextTable
from training.arrays import ArrayTable


def interval(table: TextTable | ParquetTable | ArrayTable, names: Sequence[str]) -> float | None:
    """Median seconds between rows by the first of the named columns that is a clock; None where none is.

    A clock holds a time in every row, ISO 8601 in text and a timestamp in Parquet, and never goes back. A number is
    no clock: nobody says in what unit it counts.
    """
    for name in names:
        seconds = list(_seconds(table, name))
        if len(seconds) > 1 and None not in seconds:
            steps = np.diff(np.array(seconds, dtype=float))
            if (steps >= 0).all() and np.median(steps) > 0:
                return float(np.median(steps))
    return None


def _seconds(table: TextTable | ParquetTable | ArrayTable, name: str) -> Iterator[float | None]:
    """Seconds since 1970 of each row's cell; it ends with None at the first cell that is no time."""
    for cell in _cells(table, name):
        time = _time(cell)
        yield None if time is None else time.replace(tzinfo=time.tzinfo or UTC).timestamp()
        if time is None:
            return


def _cells(table: TextTable | ParquetTable | ArrayTable, name: str) -> Iterator[Any]:
    if isinstance(table, TextTable):
        column = table.names.index(name)
        return (row[column] for row in split(table.records[1:], table.delimiter))
    return iter(table.content.column(name).to_pylist() if isinstance(table, ParquetTable) else ())


def _time(cell: object) -> datetime | None:
    if isinstance(cell, datetime):
        return cell
    if not isinstance(cell, str) or "-" not in cell:  # 20240101 is a time in ISO 8601, and more often a number
        return None
    try:
        return datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
