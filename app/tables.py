"""Files of sensor readings as tables, delimited text or Parquet, strict about everything they hold."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.array import Array
from app.cells import FLOAT32_MAX, Decimal, complaint, decimal_mark, to_numbers
from app.dialect import WHITESPACE, WORDS, find_delimiter, split
from app.errors import TableError
from app.parquet import ParquetTable, read_parquet
from app.records import check_widths, header_names, join_records, line_of, read_lines

Column = Array | npt.NDArray[np.bool_]
CHUNK = 10_000
"""Records held as separate cells at once: cells are many small strings, records few."""


@dataclass(frozen=True)
class TextTable:
    """A delimited text file: its header and its records as they were written."""

    file: str
    names: tuple[str, ...]
    """The header's names, each once, without surrounding blanks."""
    delimiter: str
    records: list[str]
    """The header and then one text per row, without line ends; a quoted cell may hold some."""

    def __len__(self) -> int:
        return len(self.records) - 1

    def numbers(self, names: Sequence[str], drop_flag: str | None = None) -> Array:
        """The named columns as float64 [n, D], NaN where a value is missing.

        Args:
            names: columns of this table.
            drop_flag: the flag that leaves a column out, for the error about a column that holds no numbers.

        Raises:
            TableError: a cell is not a finite number within float32's range, or the decimal mark is ambiguous.
        """
        columns = [self.names.index(name) for name in names]
        decimal = self.decimal(names)
        x = np.empty((len(self), len(columns)))
        for start in range(1, len(self.records), CHUNK):
            rows = list(split(self.records[start : start + CHUNK], self.delimiter))
            for d, column in enumerate(columns):
                cells = [row[column] for row in rows]
                x[start - 1 : start - 1 + len(rows), d] = values = to_numbers(cells, decimal)
                for bad in np.flatnonzero(np.abs(values) > FLOAT32_MAX)[:1].tolist():
                    leave_out = f"; leave the column out with {drop_flag} '{names[d]}'" if drop_flag else ""
                    place = self._place(start + bad, names[d])
                    raise TableError(f"{place}: {complaint(cells[bad], decimal)}{leave_out}")
        return x

    def decimal(self, names: Sequence[str]) -> Decimal:
        """The decimal mark of the named columns: a point, unless commas prove otherwise.

        Raises:
            TableError: both marks are in use, or every comma may as well separate thousands.
        """
        commas = '"' if self.delimiter == "," else ","
        if not any(commas in record for record in self.records):
            return "."
        seen = self._first_marks([self.names.index(name) for name in names])
        comma = seen.get(",", seen.get("either"))
        if comma is None:
            return "."
        if "." in seen:
            raise TableError(f"{comma} has a comma, but {seen['.']} a point; expected one decimal mark")
        if "," not in seen:
            raise TableError(
                f"{comma} has a decimal comma or a thousands separator, and no other cell tells which; "
                "expected decimal points, and no thousands separators"
            )
        return ","

    def lines(self) -> npt.NDArray[np.int64]:
        """The line, counted from 1, that each row starts on, [n]."""
        ends = np.cumsum([1 + record.count("\n") for record in self.records])
        return np.asarray(1 + ends[:-1], dtype=np.int64)

    def describe(self, names: Sequence[str]) -> str:
        """The delimiter and the decimal mark that were detected, in words."""
        mark = "comma" if self.decimal(names) == "," else "point"
        return f"{'one column' if len(self.names) == 1 else f'delimiter {WORDS[self.delimiter]}'}, decimal {mark}"

    def lines_with(self, added: Mapping[str, Column], decimal: Decimal) -> Iterator[str]:
        """The lines of the file as they were written, with columns added at their ends."""
        columns = [[name, *_texts(values, decimal)] for name, values in added.items()]
        for record, cells in zip(self.records, zip(*columns, strict=True), strict=True):
            yield f"{record}{_continued(cells, self.delimiter)}\n"

    def _first_marks(self, columns: list[int]) -> dict[str, str]:
        """Where each kind of decimal mark is met first, as a place and its cell."""
        seen: dict[str, str] = {}
        for number, cells in enumerate(split(self.records[1:], self.delimiter), start=1):
            for column in columns:
                mark = decimal_mark(cells[column])
                if mark and mark not in seen:
                    seen[mark] = f"{self._place(number, self.names[column])}: '{cells[column].strip()}'"
        return seen

    def _place(self, record: int, name: str) -> str:
        return f"{self.file}, line {line_of(self.records, record)}, column '{name}'"


Table = TextTable | ParquetTable


def read_table(path: Path) -> Table:
    """The table in a file: Parquet where the suffix is .parquet, delimited text otherwise.

    Raises:
        TableError: the file cannot be read as a table; the text names the file, the line and what was expected.
    """
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    file = str(path)
    lines = read_lines(path)
    delimiter = find_delimiter(lines, file)
    records = join_records(lines, delimiter, file)
    names = header_names(records[0], delimiter, file)
    check_widths(records, names, delimiter, file)
    if len(records) == 1:
        raise TableError(f"{file}: a header and no row below it; expected rows of numbers")
    return TextTable(file, names, delimiter, records)


def split_unit(header: str) -> tuple[str, str | None]:
    """Name and unit of a header written `name [unit]`; no unit where there are no brackets or nothing in them."""
    match = re.fullmatch(r"(.*\S)\s*\[([^\[\]]*)\]", header)
    return (match[1], match[2].strip() or None) if match else (header, None)


def _texts(values: Column, decimal: Decimal) -> list[str]:
    if values.dtype == np.bool_:
        return ["true" if value else "false" for value in values.tolist()]
    return [repr(value).replace(".", decimal) for value in values.tolist()]


def _continued(cells: Sequence[str], delimiter: str) -> str:
    if delimiter == WHITESPACE:
        return "".join(f" {cell}" for cell in cells)
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="").writerow(["", *cells])
    return line.getvalue()
