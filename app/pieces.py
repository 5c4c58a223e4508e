"""A text file as its bytes in pieces of whole records, so that memory does not grow with the file."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from app.dialect import WHITESPACE, reader

SIZE = 2**18
"""Bytes that are read at once; a piece is about as long, or as long as one record where that is longer."""
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass(frozen=True)
class Place:
    """Where a record begins."""

    offset: int
    """Bytes before it; rows in Parquet."""
    line: int
    """Its line, counted from 1; its row in Parquet."""

    def behind(self, content: bytes) -> "Place":
        """The place where `content`, which begins here, ends."""
        lines = content.count(b"\n")
        if b"\r" in content:
            lines += content.count(b"\r") - content.count(b"\r\n")
        return Place(self.offset + len(content), self.line + lines)


@dataclass(frozen=True)
class Piece:
    """Whole records as the file has them, line ends included; no blank line ends them."""

    content: bytes
    begin: Place
    end: Place


def cut(stream: BinaryIO, delimiter: str, begin: Place, size: int = SIZE) -> Iterator[Piece]:
    """The pieces of a file from a place on; blank lines at its end are in none."""
    stream.seek(begin.offset)
    kept = b""
    while block := stream.read(size):
        kept += block
        content = kept[: _records(kept[: content_end(kept[: lines_end(kept)])], delimiter)]
        if content:
            end = begin.behind(content)
            yield Piece(content, begin, end)
            begin, kept = end, kept[len(content) :]
    if content := kept[: content_end(kept)]:
        yield Piece(content, begin, begin.behind(content))


def rest(stream: BinaryIO, begin: Place) -> Piece:
    """All of a file from a place on in one piece."""
    stream.seek(begin.offset)
    content = stream.read()
    content = content[: content_end(content)]
    return Piece(content, begin, begin.behind(content))


def lines_end(content: bytes) -> int:
    """The length of the whole lines; a CR at the end may be half of a line end."""
    return 1 + max(content.rfind(b"\n"), content.rfind(b"\r", 0, len(content) - 1))


def content_end(content: bytes) -> int:
    """The length of what comes before blank lines at the end; a line of tabs may be a row whose values are missing."""
    written = len(content.rstrip(b" \r\n"))
    if not written:
        return 0
    end = _LINE_END.search(content, written)
    return end.end() if end else len(content)


def _records(content: bytes, delimiter: str) -> int:
    """The length of the whole records among whole lines, and of one that cannot be read."""
    if delimiter == WHITESPACE or b'"' not in content:
        return len(content)
    lines = content.splitlines(keepends=True)
    # Latin-1 takes any byte, and UTF-8 keeps delimiters and quotes out of the bytes of all other characters.
    records = reader((line.decode("latin-1") for line in lines), delimiter)
    whole = 0
    try:
        for _ in records:
            whole = records.line_num
    except csv.Error:
        if records.line_num < len(lines):  # in the last line, more of the file may mend it
            whole = records.line_num
    return sum(map(len, lines[:whole]))
