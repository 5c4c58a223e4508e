"""A text file to its header names and records, each as it was written; whatever is not a plain table is refused."""

import codecs
import csv
from pathlib import Path

from app.cells import is_number
from app.dialect import WHITESPACE, WORDS, split
from app.errors import TableError


def read_lines(path: Path) -> list[str]:
    """The file's lines without their ends (LF, CRLF or CR); a byte order mark and blank lines at the end are dropped.

    Raises:
        TableError: the file cannot be opened, is empty, is not UTF-8, or holds NUL bytes.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TableError(f"{path}: {error.strerror or error}") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise TableError(f"{path}, line 1: encoded as UTF-16; expected UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise TableError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8; expected UTF-8 text"
        ) from error
    if "\0" in text:
        line = 1 + text.count("\n", 0, text.index("\0"))
        raise TableError(f"{path}, line {line}: a NUL byte; expected delimited text")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip(" "):  # a line of tabs may be a row whose values are all missing
        lines.pop()
    if not lines:
        raise TableError(f"{path}: the file is empty; expected a header line and rows of numbers")
    return lines


def join_records(lines: list[str], delimiter: str, file: str) -> list[str]:
    """The records that the lines make; a record is several lines where a quoted cell holds line ends.

    Raises:
        TableError: a line is blank, or a quote does not end.
    """
    if delimiter == WHITESPACE or not any('"' in line for line in lines):
        records = lines
    else:
        records, end = [], 0
        reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, strict=True)
        try:
            for _ in reader:
                records.append("\n".join(lines[end : reader.line_num]))
                end = reader.line_num
        except csv.Error as error:
            raise TableError(
                f'{file}, line {end + 1}: a quoted cell that does not end: expected a closing " ({error})'
            ) from error
    for number, record in enumerate(records):
        if not record.strip() and (delimiter == WHITESPACE or delimiter not in record):
            raise TableError(
                f"{file}, line {line_of(records, number)}: a blank line; expected blank lines at the end only"
            )
    return records


def check_widths(records: list[str], names: tuple[str, ...], delimiter: str, file: str) -> None:
    """Refuse a ragged line.

    Raises:
        TableError: a record has not as many cells as there are names.
    """
    for number, cells in enumerate(split(records, delimiter)):
        if len(cells) != len(names):
            decimal = len(cells) == 2 * len(names) and delimiter == ","
            raise TableError(
                f"{file}, line {line_of(records, number)}: {len(cells)} cells; expected {len(names)} as in the header "
                f"(line 1), delimiter {WORDS[delimiter]}"
                + ("; a decimal comma beside a delimiting comma needs quotes" if decimal else "")
            )


def header_names(header: str, delimiter: str, file: str) -> tuple[str, ...]:
    """The names in a header line.

    Raises:
        TableError: a name is empty or there twice, or the line holds numbers where names are expected.
    """
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


def line_of(records: list[str], number: int) -> int:
    """The line, counted from 1, that a record starts on; the header is record 0."""
    return 1 + number + sum(record.count("\n") for record in records[:number])
