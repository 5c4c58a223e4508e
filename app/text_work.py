"""Scoring delimited text: every line as it was, with columns added at its end in the file's own dialect."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from app.array import Array
from app.cells import Decimal, to_texts
from app.columns import BEFORE_ALARM, Wanted, added_names, score_columns, sensor_columns
from app.dialect import WHITESPACE
from app.errors import TableError
from app.hold import Alarms
from app.layout import Layout, open_text, read_layout
from app.manifest import Manifest
from app.marks import Seen, Told, as_told, decide, proved
from app.model import Model
from app.pieces import SIZE, Piece, Place, cut
from app.tables import TextTable
from app.work import Extent

FEW = 2**16
"""Bytes of a piece in which the decimal mark is looked for: mostly the first one shows it."""


@dataclass(frozen=True)
class TextPart:
    """Lines that were scored."""

    end: Place
    alarm: Alarms
    between: list[str]
    """[n + 1], what is written before the first alarm, between two, and behind the last."""

    def written(self, held: Alarms) -> bytes:
        """The lines, in UTF-8."""
        words = ["true" if alarm else "false" for alarm in held.tolist()]
        lines = chain.from_iterable(zip(self.between[:-1], words, strict=True))
        return "".join([*lines, self.between[-1]]).encode()


@dataclass(frozen=True)
class TextWork:
    """Lines that are to be scored."""

    piece: Piece
    layout: Layout
    columns: tuple[str, ...]
    seen: Seen
    wanted: Wanted

    def score(self, model: Model) -> TextPart:
        """The lines with what is added.

        Raises:
            TableError: a line is ragged, or a cell is no number.
            InvalidContent: `rate-out-of-range`.
        """
        table = TextTable.of(self.piece, self.layout)
        scored = score_columns(table.numbers_by(self.seen, self.columns), model, self.wanted)
        between = _between(table.records, scored.numbers, self.layout.delimiter, decide(self.seen))
        return TextPart(self.piece.end, scored.alarm, between)


@dataclass(frozen=True)
class TextSource:
    """A text file that is being read."""

    stream: BinaryIO
    layout: Layout
    columns: tuple[str, ...]
    seen: Seen
    wanted: Wanted
    head: bytes
    extent: Extent

    @property
    def begin(self) -> Place:
        """Where the rows begin."""
        return self.layout.begin

    def work(self, begin: Place) -> Iterator[TextWork]:
        """The rows from a place on."""
        for piece in _pieces(self.stream, self.layout, begin):
            yield TextWork(piece, self.layout, self.columns, self.seen, self.wanted)

    def finish(self, partial: Path, target: Path) -> None:
        """Every line is there already."""
        partial.replace(target)


@contextmanager
def open_text_source(
    file: Path, manifest: Manifest, wanted: Wanted, decimal: Told | None = None
) -> Iterator[TextSource]:
    """The text file, with all decided that its rows are read by; it may be told its decimal mark.

    Raises:
        TableError: it cannot be read, has no row, lacks a sensor or has a name that is to be added.
    """
    with open_text(file) as stream:
        layout = read_layout(stream, str(file))
        if next(_pieces(stream, layout, layout.begin), None) is None:
            raise TableError(f"{file}: a header and no row below it; expected rows of numbers")
        columns = sensor_columns(layout.file, layout.names, manifest, wanted)
        head = f"{layout.header}{_continued(added_names(manifest, wanted), layout.delimiter)}\n".encode()
        extent = Extent(os.fstat(stream.fileno()).st_size, "B", "line")
        seen = as_told(decimal) or _find_marks(stream, layout, columns)
        yield TextSource(stream, layout, columns, seen, wanted, head, extent)


def _pieces(stream: BinaryIO, layout: Layout, begin: Place, size: int = SIZE) -> Iterator[Piece]:
    try:
        yield from cut(stream, layout.delimiter, begin, size)
    except OSError as error:
        raise TableError(f"{layout.file}: {error.strerror or error}") from error


def _find_marks(stream: BinaryIO, layout: Layout, columns: Sequence[str]) -> Seen:
    """The decimal marks up to a first one that is beyond doubt; where there is no such one, the file is read through.

    A piece that holds the other mark is refused when it is scored.

    Raises:
        TableError: every comma may as well separate thousands; a line on the way is no record.
    """
    seen: Seen = {}
    commas = b'"' if layout.delimiter == "," else b","
    for piece in _pieces(stream, layout, layout.begin, FEW):
        if commas in piece.content or b"." in piece.content:
            seen = {**TextTable.of(piece, layout).marks(columns), **seen}
            if proved(seen):
                break
    decide(seen)
    return seen


def _between(records: list[str], numbers: Array, delimiter: str, decimal: Decimal) -> list[str]:
    columns = [_texts(column, delimiter, decimal) for column in numbers.T]
    before = [delimiter.join(cells) for cells in zip(*columns[:BEFORE_ALARM], strict=True)]
    heads = [f"{record}{delimiter}{cells}{delimiter}" for record, cells in zip(records, before, strict=True)]
    explained = zip(*columns[BEFORE_ALARM:], strict=True)
    tails = [f"{delimiter}{delimiter.join(cells)}\n" for cells in explained] or ["\n"] * len(records)
    return [f"{tail}{head}" for tail, head in zip(["", *tails], [*heads, ""], strict=True)]


def _texts(values: Array, delimiter: str, decimal: Decimal) -> list[str]:
    """Doubles in full precision; quoted where the delimiter is their decimal mark too."""
    texts = to_texts(values)
    if decimal == ".":
        return texts
    commas = [text.replace(".", ",") for text in texts]
    return [f'"{text}"' if "," in text else text for text in commas] if delimiter == "," else commas


def _continued(cells: Sequence[str], delimiter: str) -> str:
    if delimiter == WHITESPACE:
        return "".join(f" {cell}" for cell in cells)
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="").writerow(["", *cells])
    return line.getvalue()
