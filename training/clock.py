"""The time from row to row, from a column of dates and times that is not trained on."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from app.array import Array
from app.dialect import split
from app.parquet import ParquetTable
from app.tables import TextTable
from training.arrays import ArrayTable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def interval(table: TextTable | ParquetTable | ArrayTable, names: Sequence[str]) -> float | None:
    """Median seconds between rows by the first of the named columns that is a clock; None where none is.

    A clock holds a time in every row, ISO 8601 in text and a timestamp in Parquet, and never goes back. A number is
    no clock: nobody says in what unit it counts.
    """
    for name in names:
        seconds = _seconds(table, name)
        steps = np.diff(seconds)
        if len(steps) and (steps >= 0).all() and np.median(steps) > 0:
            return float(np.median(steps))
    return None


def _seconds(table: TextTable | ParquetTable | ArrayTable, name: str) -> Array:
    """Seconds from 1970 to each row's time, [n]; none at all where a cell is no time."""
    if isinstance(table, TextTable):
        column = table.names.index(name)
        return _of_texts(row[column] for row in split(table.records, table.layout.delimiter))
    return _of_timestamps(table, name) if isinstance(table, ParquetTable) else np.empty(0)


def _of_texts(cells: Iterable[str]) -> Array:
    seconds = []
    for cell in cells:
        time = _time(cell)
        if time is None:
            return np.empty(0)
        seconds.append((time - EPOCH).total_seconds())
    return np.array(seconds)


def _of_timestamps(table: ParquetTable, name: str) -> Array:
    import pyarrow as pa

    column = table.content.column(name)
    if column.null_count or not pa.types.is_timestamp(column.type):
        return np.empty(0)
    micros = column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(pa.int64())
    return np.asarray(micros.to_numpy() / 1e6)


def _time(cell: str) -> datetime | None:
    if "-" not in cell:  # 20240101 is a date in ISO 8601, and more often a number
        return None
    try:
        time = datetime.fromisoformat(cell.strip())
    except ValueError:
        return None
    return time.replace(tzinfo=time.tzinfo or UTC)
