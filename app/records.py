"""Bytes of a text file to header names and records, each as it was written; what is not a plain table is refused."""

import csv
from collections.abc import Iterator

from app.cells import is_number
from app.dialect import WHITESPACE, WORDS, reader, split
from app.errors import TableError
from app.pieces import Piece


def read_lines(piece: Piece, file: str) -> list[str]:
    """The piece's lines without their ends: LF, CRLF or CR.

    Raises:
        TableError: they are not UTF-8, or hold NUL bytes.
    """
    content = piece.content
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = piece.begin.behind(content[: error.start]).line
        raise TableError(
            f"{file}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; expected UTF-8 text"
        ) from error
    if "\0" in text:
        line = piece.begin.behind(content[: content.index(b"\0")]).line
        raise TableError(f"{file}, line {line}: a NUL byte; expected delimited text")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n") if text else []


def read_records(piece: Piece, names: tuple[str, ...], delimiter: str, file: str) -> list[str]:
    """The piece's records, each of as many cells as there are names; one has several lines where a quoted cell does.

    Raises:
        TableError: as `read_lines`; a line is blank or ragged, or a quote does not end.
    """
    lines = read_lines(piece, file)
    quoted = delimiter != WHITESPACE and b'"' in piece.content
    records = list(join_records(lines, delimiter, file, piece.begin.line)) if quoted else lines
    plain = not quoted and delimiter != WHITESPACE and len(names) > 1
    # Counting is quicker than cutting, and what counts right is neither ragged nor blank.
    if not plain or any(line.count(delimiter) != len(names) - 1 for line in lines):
        _check_blanks(records, delimiter, file, piece.begin.line)
        _check_widths(records, names, delimiter, file, piece.begin.line)
    return records


def join_records(lines: list[str], delimiter: str, file: str, first: int) -> Iterator[str]:
    """The records that lines from line `first` on make; several lines are one where a quoted cell holds line ends.

    Raises:
        TableError: a quote does not end.
    """
    end = 0
    records = reader((f"{line}\n" for line in lines), delimiter)
    try:
        for _ in records:
            yield "\n".join(lines[end : records.line_num])
            end = records.line_num
    except csv.Error as error:
        raise TableError(
            f'{file}, line {first + end}: a quoted cell that does not end: expected a closing " ({error})'
        ) from error


def header_names(header: str, delimiter: str, file: str) -> tuple[str, ...]:
    """The names in a header line.

    Raises:
        TableError: the line is blank, a name is empty or there twice, or there are numbers where names are expected.
    """
    _check_blanks([header], delimiter, file, 1)
    if header.lower().startswith("sep="):
        raise TableError(f"{file}, line 1: 'sep=' is for Excel; expected the header line with the sensors' names")
    names = tuple(cell.strip() for cell in next(split([header], delimiter)))
    if any(names) and all(is_number(name) for name in names if name):
        raise TableError(f"{file}, line 1: only numbers; expected a header line with the sensors' names")
    for number, name in enumerate(names, start=1):
        if not name:
            raise TableError(
                f"{file}, line 1, column {number}: no name; expected one for each of the {len(names)} columns"
            )
        if name in names[: number - 1]:
            first = names.index(name) + 1
            raise TableError(
                f"{file}, line 1, column {number}: '{name}' is the name of column {first} too; expected two names"
            )
    return names


def line_of(records: list[str], number: int, first: int) -> int:
    """The line that a record starts on, where the first of the records starts on line `first`."""
    return first + number + sum(record.count("\n") for record in records[:number])


def _check_blanks(records: list[str], delimiter: str, file: str, first: int) -> None:
    for number, record in enumerate(records):
        if not record.strip() and (delimiter == WHITESPACE or delimiter not in record):
            line = line_of(records, number, first)
            raise TableError(f"{file}, line {line}: a blank line; expected blank lines at the end only")


def _check_widths(records: list[str], names: tuple[str, ...], delimiter: str, file: str, first: int) -> None:
    for number, cells in enumerate(split(records, delimiter)):
        if len(cells) != len(names):
            line = line_of(records, number, first)
            if records[number].startswith("#") or names[0].startswith("#"):
                comment = line if records[number].startswith("#") else 1
                raise TableError(f"{file}, line {comment}: a comment; expected a header line and rows of numbers only")
            decimal = len(cells) == 2 * len(names) and delimiter == ","
            raise TableError(
                f"{file}, line {line}: {len(cells)} cells; expected {len(names)} as in the "
                f"header (line 1), delimiter {WORDS[delimiter]}"
                + ("; a decimal comma beside a delimiting comma needs quotes" if decimal else "")
            )
