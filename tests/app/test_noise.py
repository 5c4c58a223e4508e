import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.noise import standard_normal

seeds = st.integers(0, 2**63 - 1)


@given(seed=seeds, fewer=st.integers(1, 20), more=st.integers(0, 20), width=st.integers(1, 9))
def test_the_first_rows_of_more_are_fewer(seed: int, fewer: int, more: int, width: int) -> None:
    """How many rows are asked for never changes a row."""
    assert np.array_equal(standard_normal(seed, fewer + more, width)[:fewer], standard_normal(seed, fewer, width))


@given(seed=seeds, row=st.integers(0, 50))
def test_a_row_can_be_made_alone(seed: int, row: int) -> None:
    """A row is what Philox gives with the seed as its key and the row in its counter."""
    alone = np.random.Generator(np.random.Philox(key=seed, counter=[0, row, 0, 0])).standard_normal(5)

    assert np.array_equal(standard_normal(seed, row + 1, 5)[row], alone)


def test_rows_and_seeds_differ_and_are_standard_normal() -> None:
    """No two rows or seeds share noise; mean 0 and variance 1 within five standard errors."""
    noise = standard_normal(1, 2000, 10)

    assert len(np.unique(noise)) == noise.size
    assert not np.array_equal(noise, standard_normal(2, 2000, 10))
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)
