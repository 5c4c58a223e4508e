"""Parquet files of sensor readings. pyarrow is an extra, imported where it is needed and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.array import Array
from app.cells import FLOAT32_MAX
from app.errors import TableError


@dataclass(frozen=True)
class ParquetTable:
    """A Parquet file's columns, or some rows of them, as pyarrow holds them."""

    file: str
    names: tuple[str, ...]
    content: Any
    """A pyarrow.Table or RecordBatch; pyarrow is published without type annotations."""
    row: int = 1
    """The number in the file of the first row, counted from 1."""

    def __len__(self) -> int:
        return int(self.content.num_rows)

    def numbers(self, names: Sequence[str], drop_flag: str | None = None) -> Array:
        """The named columns as float64 [n, D], NaN where a value is missing or NaN.

        Args:
            names: columns of this table.
            drop_flag: the flag that leaves a column out, for the error about a column that holds no numbers.

        Raises:
            TableError: a column is not of a numeric type, or a value is not within float32's range.
        """
        x = np.empty((len(self), len(names)))
        for d, name in enumerate(names):
            x[:, d] = self._column(name, drop_flag)
            for row in np.flatnonzero(np.abs(x[:, d]) > FLOAT32_MAX)[:1].tolist():
                raise TableError(
                    f"{self.file}, row {self.row + row}, column '{name}': {float(x[row, d])} is beyond float32's "
                    f"range; expected at most ±{FLOAT32_MAX:.3g}"
                )
        return x

    def lines(self) -> None:
        """Its rows are on no lines."""

    def describe(self, names: Sequence[str]) -> str:
        """What kind of file it is, in words."""
        return "Parquet"

    def _column(self, name: str, drop_flag: str | None) -> Array:
        import pyarrow as pa

        column = self.content.column(name)
        kind = column.type
        of_numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        if not of_numbers and not pa.types.is_null(kind):  # as a piece is written in which no value is there
            what = "a date or time" if pa.types.is_temporal(kind) else f"of type {kind}"
            leave_out = f"; leave the column out with {drop_flag} '{name}'" if drop_flag else ""
            raise TableError(f"{self.file}, column '{name}': {what}; expected numbers{leave_out}")
        values: Array = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return values


def read_parquet(path: Path) -> ParquetTable:
    """The table in a Parquet file, all of it.

    Raises:
        TableError: as `open_parquet`; the file does not read.
    """
    opened = open_parquet(path)
    import pyarrow as pa  # it is there, or that was refused

    try:
        return ParquetTable(str(path), tuple(opened.schema_arrow.names), opened.read())
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path}: not readable as Parquet: {error}") from error


def open_parquet(path: Path) -> Any:  # noqa: ANN401 - pyarrow is published without type annotations
    """A pyarrow ParquetFile of at least one row, of which nothing but what it says of itself was read.

    Raises:
        TableError: pyarrow is not installed, the file is not Parquet, has no row, or has a name twice or empty.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise TableError(
            f"{path}: Parquet needs pyarrow, which is not installed: pip install 'nelbo[tables]'"
        ) from error
    try:
        # What is read ahead would be kept until the file is closed.
        opened = pq.ParquetFile(path, pre_buffer=False)
    except FileNotFoundError as error:
        raise TableError(f"{path}: No such file or directory") from error
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path}: not readable as Parquet: {error}") from error
    names = opened.schema_arrow.names
    for number, name in enumerate(names, start=1):
        if not name.strip() or name in names[: number - 1]:
            raise TableError(
                f"{path}, column {number}: the name '{name}' is empty or there twice; expected one name each"
            )
    if not opened.metadata.num_rows:
        raise TableError(f"{path}: no row; expected rows of numbers")
    return opened
