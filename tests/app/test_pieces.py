"""A text file cut into pieces: the same records, on the same lines, as in one piece."""

import io
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.errors import TableError
from app.pieces import Piece, Place, cut, rest
from app.records import join_records, line_of, read_lines

BEGIN = Place(0, 1)


def records(pieces: list[Piece]) -> list[tuple[int, str]] | str:
    """The records with their lines, or what is wrong with them."""
    found = []
    for piece in pieces:
        try:
            joined = list(join_records(read_lines(piece, "plant.csv"), ",", "plant.csv", piece.begin.line))
        except TableError as error:
            return str(error)
        found += [(line_of(joined, number, piece.begin.line), record) for number, record in enumerate(joined)]
    return found


@given(st.text(alphabet='1a, "\n\ré€', max_size=60).map(str.encode), st.integers(1, 20))
def test_no_cut_changes_a_record(content: bytes, size: int) -> None:
    """Wherever a file is cut, its records, their lines and the first fault are those of the whole file."""
    pieces = list(cut(io.BytesIO(content), ",", BEGIN, size))
    whole = rest(io.BytesIO(content), BEGIN)

    assert records(pieces) == records([whole])
    if isinstance(records(pieces), list):
        assert b"".join(piece.content for piece in pieces) == whole.content


@given(st.text(alphabet='1, "\n\r', max_size=60).map(str.encode), st.integers(1, 20))
def test_a_piece_ends_where_the_next_begins(content: bytes, size: int) -> None:
    """Reading may be taken up again at the end of any piece."""
    pieces = list(cut(io.BytesIO(content), ",", BEGIN, size))
    for before, after in pairwise(pieces):
        assert before.end == after.begin
        assert next(cut(io.BytesIO(content), ",", before.end, size)).begin == after.begin


def test_an_open_quote_does_not_take_the_whole_file() -> None:
    """A quote that is never closed is given up when its cell is longer than a cell may be."""
    content = b'1,2\n"3,4\n' + b"5,6\n" * 500_000
    first, *_ = cut(io.BytesIO(content), ",", BEGIN)

    assert len(first.content) < 2**20
