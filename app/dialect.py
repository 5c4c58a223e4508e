"""Which delimiter a text table is written with: the one under which its header and first rows agree."""

import csv
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from app.errors import TableError

if TYPE_CHECKING:
    from _csv import Reader

WHITESPACE = " "
"""Any run of blanks and tabs; quotes have no meaning then."""
WORDS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma", WHITESPACE: "whitespace"}
"""Every delimiter, in the order preferred where several fit: the rarer inside names and numbers, the earlier."""
LONGEST_CELL = 2**31 - 1
"""Characters: what a C long holds everywhere."""
SAMPLE = 100
"""Lines looked at, the header included."""


def split(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """The cells of each record; a quoted cell may hold the delimiter, and go over several lines.

    Raises:
        csv.Error: a quote does not end, or something follows it.
    """
    if delimiter == WHITESPACE:
        return (line.split() for line in lines)
    return reader(lines, delimiter)


def reader(lines: Iterable[str], delimiter: str) -> "Reader":
    """Python's reader of cells of any length; its own limit is one for the whole process, and low."""
    csv.field_size_limit(LONGEST_CELL)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def find_delimiter(lines: list[str], file: str) -> str:
    """The delimiter under which header and first lines have the same number of cells; a comma where none cuts anything.

    Where none fits it is the one that cuts the header most often, so that the ragged line can be told.

    Raises:
        TableError: the header is one column, but a line below it holds a delimiter.
    """
    widths = {mark: _widths(lines[:SAMPLE], mark) for mark in WORDS}
    for mark, (header, *below) in widths.items():
        if header > 1 and below and set(below) == {header}:
            return mark
    cut_below = [(line, mark) for mark in WORDS for line, width in enumerate(widths[mark]) if line > 0 and width > 1]
    cuts_header = [mark for mark in WORDS if widths[mark][0] > 1]
    if not cut_below and set(cuts_header) <= {WHITESPACE}:
        return ","
    if not cuts_header:
        line, mark = min(cut_below, key=lambda cut: cut[0])
        raise TableError(
            f"{file}, line {line + 1}: {widths[mark][line]} cells by the delimiter {WORDS[mark]}, but the "
            "header (line 1) is one column; expected one delimiter in all lines"
        )
    return max(cuts_header, key=lambda mark: widths[mark][0])


def _widths(sample: list[str], mark: str) -> list[int]:
    try:
        widths = [len(cells) for cells in split(sample, mark)]
    except csv.Error:  # a quote left open where the sample ends, or one that means nothing under this mark
        widths = [len(line.split(mark)) for line in sample]
    return widths
