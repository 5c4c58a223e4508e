"""Files of sensor readings as tables, delimited text or Parquet, strict about everything they hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.array import Array
from app.cells import FLOAT32_MAX, complaint, decimal_mark, read_plain, to_numbers
from app.dialect import WORDS, split
from app.errors import TableError
from app.layout import Layout, open_text, read_layout
from app.marks import Seen, Told, as_told, decide
from app.parquet import ParquetTable, read_parquet
from app.pieces import Piece, rest
from app.records import line_of, read_records

CHUNK = 10_000
"""Records held as separate cells at once: cells are many small strings, records few."""


@dataclass(frozen=True)
class TextTable:
    """A delimited text file or a piece of one: its layout and its records as they were written."""

    layout: Layout
    records: list[str]
    """One text per row, without line ends; a quoted cell may hold some."""
    line: int
    """The line that the first record starts on, counted from 1."""
    told: Seen = field(default_factory=dict)
    """The decimal mark that somebody told."""

    @classmethod
    def of(cls, piece: Piece, layout: Layout, decimal: Told | None = None) -> "TextTable":
        """The table in a piece of a file.

        Raises:
            TableError: the piece is not UTF-8, or a line is blank or ragged or has a quote that does not end.
        """
        records = read_records(piece, layout.names, layout.delimiter, layout.file)
        return cls(layout, records, piece.begin.line, as_told(decimal))

    def __len__(self) -> int:
        return len(self.records)

    @property
    def file(self) -> str:
        """The file as it was named."""
        return self.layout.file

    @property
    def names(self) -> tuple[str, ...]:
        """The header's names."""
        return self.layout.names

    def numbers(self, names: Sequence[str], drop_flag: str | None = None) -> Array:
        """The named columns as float64 [n, D], NaN where a value is missing; the decimal mark is this table's own.

        Args:
            names: columns of this table.
            drop_flag: the flag that leaves a column out, for the error about a column that holds no numbers.

        Raises:
            TableError: a cell is not a finite number within float32's range, or the decimal mark is ambiguous.
        """
        return self.numbers_by(self._own_marks(names), names, drop_flag)

    def numbers_by(self, seen: Seen, names: Sequence[str], drop_flag: str | None = None) -> Array:
        """The same of a piece, by the marks that were seen before in the file.

        Raises:
            TableError: as `numbers`; also where this piece has the other mark.
        """
        decimal = decide(seen)
        columns = [self.names.index(name) for name in names]
        plain = read_plain(self.records, self.layout.delimiter, columns, decimal)
        if plain is not None:
            return plain
        x = np.empty((len(self), len(columns)))
        for start in range(0, len(self), CHUNK):
            rows = list(split(self.records[start : start + CHUNK], self.layout.delimiter))
            for d, column in enumerate(columns):
                cells = [row[column] for row in rows]
                x[start : start + len(rows), d] = values = to_numbers(cells, decimal)
                bad = np.flatnonzero(np.abs(values) > FLOAT32_MAX)[:1].tolist()
                if bad or (decimal == "," and any("." in cell for cell in cells)):
                    decide({**self.marks(names), **seen})
                for row in bad:
                    leave_out = f"; leave the column out with {drop_flag} '{names[d]}'" if drop_flag else ""
                    place = self._place(start + row, names[d])
                    raise TableError(f"{place}: {complaint(cells[row], decimal)}{leave_out}")
        return x

    def marks(self, names: Sequence[str]) -> Seen:
        """Where each kind of decimal mark is met first in the named columns."""
        seen: dict[str, str] = {}
        columns = [self.names.index(name) for name in names]
        for number, cells in enumerate(split(self.records, self.layout.delimiter)):
            for column in columns:
                mark = decimal_mark(cells[column])
                if mark and mark not in seen:
                    seen[mark] = f"{self._place(number, self.names[column])}: '{cells[column].strip()}'"
        return seen

    def lines(self) -> npt.NDArray[np.int64]:
        """The line, counted from 1, that each row starts on, [n]."""
        ends = np.cumsum([1 + record.count("\n") for record in self.records])
        return np.asarray(self.line + np.append(0, ends[:-1]), dtype=np.int64)

    def describe(self, names: Sequence[str]) -> str:
        """The delimiter and the decimal mark that were detected, in words."""
        mark = "comma" if decide(self._own_marks(names)) == "," else "point"
        delimiter = WORDS[self.layout.delimiter]
        return f"{'one column' if len(self.names) == 1 else f'delimiter {delimiter}'}, decimal {mark}"

    def _own_marks(self, names: Sequence[str]) -> Seen:
        """The marks seen; where there is no comma at all, points need not be looked for."""
        commas = '"' if self.layout.delimiter == "," else ","
        return {**self.marks(names), **self.told} if any(commas in record for record in self.records) else self.told

    def _place(self, record: int, name: str) -> str:
        return f"{self.file}, line {line_of(self.records, record, self.line)}, column '{name}'"


Table = TextTable | ParquetTable


def read_table(path: Path, decimal: Told | None = None) -> Table:
    """The table in a file, all of it: Parquet where the suffix is .parquet, delimited text otherwise.

    Text may be told its decimal mark, where its cells do not prove it.

    Raises:
        TableError: the file cannot be read as a table; the text names the file, the line and what was expected.
    """
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    with open_text(path) as stream:
        layout = read_layout(stream, str(path))
        table = TextTable.of(rest(stream, layout.begin), layout, decimal)
    if not table.records:
        raise TableError(f"{path}: a header and no row below it; expected rows of numbers")
    return table


def split_unit(header: str) -> tuple[str, str | None]:
    """Name and unit of a header written `name [unit]`; no unit where there are no brackets or nothing in them."""
    match = re.fullmatch(r"(.*\S)\s*\[([^\[\]]*)\]", header)
    return (match[1], match[2].strip() or None) if match else (header, None)
