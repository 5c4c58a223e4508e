"""What the first lines of a text file say about all of it: its header's names, and how its cells are delimited."""

import codecs
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.dialect import SAMPLE, WHITESPACE, find_delimiter
from app.errors import TableError
from app.pieces import Piece, Place, content_end, lines_end
from app.records import header_names, join_records, read_lines

BLOCK = 2**16
OTHERS = {
    b"\x1f\x8b": "compressed by gzip",
    b"BZh91AY&SY": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"PK\x03\x04": "a ZIP archive or a workbook",
    b"\xd0\xcf\x11\xe0": "a workbook of an old Excel",
    b"\x89HDF": "HDF5",
    b"PAR1\x15": "Parquet, whose name ends with .parquet",
    b"\x93NUMPY": "an array of NumPy's, whose name ends with .npy",
    codecs.BOM_UTF32_LE: "encoded as UTF-32",
    codecs.BOM_UTF32_BE: "encoded as UTF-32",
    codecs.BOM_UTF16_LE: "encoded as UTF-16",
    codecs.BOM_UTF16_BE: "encoded as UTF-16",
}
"""What a file is that begins like this: kinds that are often named like text, the longer beginnings first."""


@dataclass(frozen=True)
class Layout:
    """A text file's header."""

    file: str
    header: str
    """As it was written, without its line end."""
    names: tuple[str, ...]
    """The header's names, each once, without surrounding blanks."""
    delimiter: str
    begin: Place
    """Where the rows begin."""


@contextmanager
def open_text(path: Path) -> Iterator[BinaryIO]:
    """The file at `path`; what can be read once only, such as a pipe, is put into a file that goes when it is closed.

    Raises:
        TableError: it cannot be opened.
    """
    with ExitStack() as opened:
        try:
            stream: BinaryIO = opened.enter_context(path.open("rb"))
            if not stream.seekable():
                kept = opened.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(stream, kept)
                kept.seek(0)
                stream = kept
        except OSError as error:
            raise TableError(f"{path}: {error.strerror or error}") from error
        yield stream


def read_layout(stream: BinaryIO, file: str) -> Layout:
    """The layout of a file that was just opened; a byte order mark is passed over.

    Raises:
        TableError: it is empty or not UTF-8, or its first lines are not those of a table.
    """
    sample = _sample(stream, file)
    lines = read_lines(sample, file)
    while len(lines) > 1 and not lines[-1].strip(" "):
        lines.pop()
    delimiter = find_delimiter(lines, file)
    header = lines[0] if delimiter == WHITESPACE else next(join_records(lines, delimiter, file, 1))
    names = header_names(header, delimiter, file)
    taken = sample.content.splitlines(keepends=True)[: 1 + header.count("\n")]
    return Layout(file, header, names, delimiter, sample.begin.behind(b"".join(taken)))


def _sample(stream: BinaryIO, file: str) -> Piece:
    """The first lines, the header included."""
    content = stream.read(BLOCK)
    for beginning, kind in OTHERS.items():
        if content.startswith(beginning):
            raise TableError(f"{file}, line 1: {kind}; expected delimited text in UTF-8")
    begin = Place(len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0, 1)
    content = content[begin.offset :]
    while len(content[: lines_end(content)].splitlines()) <= SAMPLE and (block := stream.read(BLOCK)):
        content += block
    lines = content[: lines_end(content)].splitlines(keepends=True)
    if len(lines) <= SAMPLE:  # the whole file
        lines = content[: content_end(content)].splitlines(keepends=True)
        if not lines:
            raise TableError(f"{file}: the file is empty; expected a header line and rows of numbers")
    content = b"".join(lines[:SAMPLE])
    return Piece(content, begin, begin.behind(content))
