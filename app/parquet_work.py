"""Scoring Parquet: the same columns with others at their right.

A Parquet file ends with the list of its parts, so one that breaks off cannot be gone on with. What is added is kept as
plain numbers until all of it is there; then the file is written in one pass, a small part of the time that scoring
took.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from app.array import Array
from app.columns import BEFORE_ALARM, Wanted, added_names, score_columns, sensor_columns
from app.errors import TableError
from app.hold import Alarms
from app.manifest import Manifest
from app.model import Model
from app.parquet import ParquetTable, open_parquet
from app.pieces import Place
from app.work import Extent

SCORED_AT_ONCE = 4096
"""Rows of a piece."""
WRITTEN_AT_ONCE = 2**16
"""Rows of a row group."""


@dataclass(frozen=True)
class ParquetPart:
    """Rows that were scored."""

    end: Place
    alarm: Alarms
    numbers: Array
    """[n, …], the columns that are added but for the alarm."""

    def written(self, held: Alarms) -> bytes:
        """The columns that are added, row by row as float64; the alarm is 0 or 1."""
        return np.insert(self.numbers, BEFORE_ALARM, held, axis=1).tobytes()


@dataclass(frozen=True)
class ParquetWork:
    """Rows that are to be scored."""

    x: Array
    end: Place
    wanted: Wanted

    def score(self, model: Model) -> ParquetPart:
        """The rows' added columns.

        Raises:
            InvalidContent: `rate-out-of-range`.
        """
        scored = score_columns(self.x, model, self.wanted)
        return ParquetPart(self.end, scored.alarm, scored.numbers)


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file that is being read."""

    file: str
    opened: Any
    """A pyarrow.parquet.ParquetFile."""
    columns: tuple[str, ...]
    added: tuple[str, ...]
    wanted: Wanted
    head: bytes = b""

    @property
    def begin(self) -> Place:
        """The first row."""
        return Place(0, 1)

    @property
    def extent(self) -> Extent:
        """All rows."""
        return Extent(self.opened.metadata.num_rows, " rows", "row")

    def work(self, begin: Place) -> Iterator[ParquetWork]:
        """The rows from a place on.

        Raises:
            TableError: a column is not of numbers, or a value is beyond float32's range; the file does not read.
        """
        row = 0
        for batch in self._batches(SCORED_AT_ONCE, list(self.columns)):
            if row >= begin.offset:
                table = ParquetTable(self.file, self.columns, batch, row + 1)
                yield ParquetWork(
                    table.numbers(self.columns), Place(row + len(batch), row + len(batch) + 1), self.wanted
                )
            row += len(batch)

    def finish(self, partial: Path, target: Path) -> None:
        """Write the file anew with the columns added, and put it in its place."""
        whole = target.with_name(f".{target.name}.whole")
        try:
            with partial.open("rb") as added:
                self._write(added, whole)
            whole.replace(target)
        finally:
            whole.unlink(missing_ok=True)
        partial.unlink()

    def _write(self, added: BinaryIO, whole: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self.opened.schema_arrow
        for name in self.added:
            schema = schema.append(pa.field(name, pa.bool_() if name == "alarm" else pa.float64()))
        with whole.open("wb") as stream, pq.ParquetWriter(stream, schema) as writer:
            for batch in self._batches(WRITTEN_AT_ONCE, None):
                rows = np.frombuffer(added.read(8 * len(self.added) * len(batch))).reshape(len(batch), -1)
                columns = [pa.array(column) for column in rows.T]
                columns[BEFORE_ALARM] = columns[BEFORE_ALARM].cast(pa.bool_())
                writer.write_table(pa.Table.from_arrays([*batch.columns, *columns], schema=schema))
            writer.close()
            stream.flush()
            os.fsync(stream.fileno())

    def _batches(self, rows: int, columns: list[str] | None) -> Iterator[Any]:
        """The file's rows, at most so many at a time, as pyarrow has them."""
        import pyarrow as pa

        try:
            yield from self.opened.iter_batches(rows, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise TableError(f"{self.file}: not readable as Parquet: {error}") from error


@contextmanager
def open_parquet_source(file: Path, manifest: Manifest, wanted: Wanted) -> Iterator[ParquetSource]:
    """The Parquet file.

    Raises:
        TableError: as `open_parquet`; it lacks a sensor or has a name that is to be added.
    """
    with open_parquet(file) as opened:
        columns = sensor_columns(str(file), tuple(opened.schema_arrow.names), manifest, wanted)
        yield ParquetSource(str(file), opened, columns, added_names(manifest, wanted), wanted)
