"""Cells and numbers: the quick ways say the same as the slow ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.cells import FLOAT32_MAX, read_plain, to_numbers, to_texts

CELLS = st.one_of(
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["", " ", "nan", "-nan", "NA", "n/a", "inf", "1_0", "0x1", "1e", "1d5", " 1 ", "\u0661", "\xa01"]),
    st.text(alphabet="0123456789.eE+- ", max_size=8),
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_plain_records_are_read_as_cell_by_cell(rows: list[tuple[str, str]]) -> None:
    """Where numpy reads a record its numbers are those of Python's own float, bit for bit; it reads nothing else."""
    quick = read_plain([";".join(row) for row in rows], ";", [1, 0], ".")
    slow = np.column_stack([to_numbers([row[d] for row in rows], ".") for d in (1, 0)])

    if (np.abs(slow) > FLOAT32_MAX).any():
        assert quick is None
    elif quick is not None:
        np.testing.assert_array_equal(quick, slow)


@given(st.lists(st.tuples(st.floats(-3e38, 3e38) | st.none(), st.floats(-3e38, 3e38) | st.none()), min_size=1))
def test_empty_cells_do_not_make_records_less_plain(rows: list[tuple[float | None, float | None]]) -> None:
    """Values that are missing are read as quickly."""
    records = [",".join("" if value is None else repr(value) for value in row) for row in rows]

    np.testing.assert_array_equal(read_plain(records, ",", [0, 1], "."), np.array(rows, dtype=float))


@given(st.lists(st.floats()))
def test_numbers_are_written_as_python_writes_them(values: list[float]) -> None:
    """In full precision, whatever they are."""
    assert to_texts(np.array(values, dtype=float)) == [repr(value) for value in values]
