"""Held alarms: k of the last m rows, however the rows come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SettingsError
from app.hold import Hold


@given(
    alarm=st.lists(st.booleans(), max_size=40),
    rows=st.integers(1, 12),
    share=st.floats(0, 1),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
def test_a_row_alarms_when_k_of_the_last_m_do(alarm: list[bool], rows: int, share: float, cuts: list[int]) -> None:
    """As counted row by row, whether the rows are shown together or in pieces."""
    count = 1 + round(share * (rows - 1))
    hold = Hold(count, rows)

    pieces = np.split(np.array(alarm, dtype=bool), sorted(min(cut, len(alarm)) for cut in cuts))
    held = [bool(row) for piece in pieces for row in hold.over(piece)]

    assert held == [sum(alarm[max(0, i + 1 - rows) : i + 1]) >= count for i in range(len(alarm))]


@pytest.mark.parametrize(
    "text", ["3", "3/", "/5", "a/b", "3/5/7", "0/5", "6/5", "-1/5", "1.0/2", "1/100001", "３/５", ""]
)
def test_what_is_no_k_of_m_is_refused(text: str) -> None:
    """The refusal shows what was written and what is expected."""
    with pytest.raises(SettingsError, match=r"--hold is .*; expected k/m"):
        Hold.parse(text)
