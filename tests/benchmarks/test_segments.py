"""Segments with named causes, and when an explanation of one is right."""

from itertools import combinations

import numpy as np
import pytest

from benchmarks.explanations import Right, by_chance, judge
from benchmarks.fitting import data_folder
from benchmarks.segments import Segment, ServerTable, parse, read

SERVERS = ("machine-1-6", "machine-2-1", "omi-1", "omi-2", "omi-3")


def test_lines_are_parsed() -> None:
    """Rows stay as they are counted, causes are counted from 0; the last line may lack its end."""
    assert parse("246-252:1,2,15\n2884-2888:6") == (
        Segment(246, 252, frozenset({0, 1, 14})),
        Segment(2884, 2888, frozenset({5})),
    )


@pytest.mark.parametrize("line", ["246-252", "246:1,2", "a-b:1", "1-2:"])
def test_a_line_of_another_form_is_refused(line: str) -> None:
    """No segment is guessed."""
    with pytest.raises(ValueError, match="invalid literal"):
        parse(line)


def test_rows_are_the_labelled_ones() -> None:
    """The row after the end, which some files name, is left out; no more rows are taken than asked for."""
    label = np.zeros(200, bool)
    label[20:120] = True

    np.testing.assert_array_equal(Segment(20, 120, frozenset()).rows(label, most=500), np.arange(20, 120))
    some = Segment(20, 120, frozenset()).rows(label, most=50)
    assert (len(some), some[0], some[-1]) == (50, 20, 119)
    assert (np.diff(some) > 0).all()


@pytest.mark.parametrize(
    ("blame", "right"),
    [([3.0, 0, 0, 0, 1], Right(1, 1)), ([1, 3.0, 2, 0, 0], Right(0, 1)), ([0, 3.0, 2, 1, 0], Right(0, 0))],
)
def test_an_explanation_is_right_where_a_cause_comes_first(blame: list[float], right: Right) -> None:
    """First of all, or among the first three."""
    table = ServerTable("made up", np.zeros((1, 5)), np.zeros((9, 5)), np.arange(9) > 5, ())

    assert judge(table, Segment(6, 8, frozenset({0})), lambda x: np.tile(blame, (len(x), 1))) == right


def test_chance_is_what_counting_says() -> None:
    """Of all ways to choose 3 of 7 sensors, the share with at least one of 2 causes."""
    chosen = list(combinations(range(7), 3))
    share = sum(min(three) < 2 for three in chosen) / len(chosen)

    assert by_chance(2, 7) == Right(pytest.approx(2 / 7), pytest.approx(share))


@pytest.mark.parametrize("name", SERVERS)
def test_every_named_segment_is_labelled(name: str) -> None:
    """The causes' rows are rows of the table that are labelled, all of them, and the causes are its columns."""
    file = data_folder() / "server-metrics" / f"{name}.npz"
    if not file.is_file():
        pytest.skip(f"needs {file}: NELBO_DATA names the folder above it")

    table = read(file)

    rows = [segment.rows(table.label, most=len(table.label)) for segment in table.segments]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.flatnonzero(table.label))
    assert all(segment.causes <= set(range(table.train.shape[1])) for segment in table.segments)
