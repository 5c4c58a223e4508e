"""Which rows the published protocol trains on and tests."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import TOLERANCE, judge
from benchmarks.detectors import nearest_neighbours
from benchmarks.fitting import data_folder
from benchmarks.protocol import MOST_ROWS, Table, draw, drawn, part, published, read


def numbered(rows: int, anomalies: int) -> Table:
    """Rows that hold their own number, the last ones anomalous."""
    return Table("numbered", np.arange(float(rows))[:, None], np.arange(rows) >= rows - anomalies)


@pytest.mark.parametrize(("normal", "trained_on"), [(10, 5), (11, 6), (9, 4), (13, 6)])
def test_the_first_half_of_the_normal_rows_is_trained_on(normal: int, trained_on: int) -> None:
    """In their order; an odd row goes where the half becomes even; everything else is tested, anomalies last."""
    parts = part(numbered(normal + 3, anomalies=3))

    np.testing.assert_array_equal(parts.train[:, 0], np.arange(trained_on))
    np.testing.assert_array_equal(parts.test[:, 0], np.arange(trained_on, normal + 3))
    np.testing.assert_array_equal(parts.test[parts.anomalous, 0], np.arange(normal, normal + 3))


def test_a_small_table_is_bootstrapped() -> None:
    """To 1000 rows drawn with replacement by the seed, each with its own label; or not at all."""
    small = numbered(400, anomalies=40)

    first, again, other = draw(small, 1), draw(small, 1), draw(small, 2)

    assert len(first.x) == 1000
    assert len(np.unique(first.x)) < 400
    np.testing.assert_array_equal(first.x[:, 0] >= 360, first.anomalous)
    np.testing.assert_array_equal(first.x, again.x)
    assert (first.x != other.x).any()
    assert drawn(small, 1000)
    assert draw(small, 1, fewest_rows=0) is small


def test_a_large_table_is_subsampled() -> None:
    """To 50,000 of its rows, none twice."""
    large = draw(numbered(MOST_ROWS + 1, anomalies=10), 0)

    assert len(np.unique(large.x)) == MOST_ROWS


def test_a_table_between_is_left_as_it_is() -> None:
    """From 1000 to 50,000 rows no seed matters."""
    table = numbered(1000, anomalies=10)

    assert not drawn(table, 1000)
    assert draw(table, 0) is table


def test_standardised_by_the_training_part() -> None:
    """Its mean becomes 0 and its deviation 1; a column that rests in it keeps its unit."""
    x = np.column_stack([np.arange(8.0), np.full(8, 5.0)])
    x[-1] = [1000.0, 7.0]

    train, test = part(Table("two", x, np.arange(8) == 7)).standardised()

    np.testing.assert_allclose(train[:, 0], (np.arange(4) - 1.5) / np.std(np.arange(4)))
    np.testing.assert_array_equal(train[:, 1], 0.0)
    assert test[-1, 1] == 2.0


def test_published_columns_are_numbers(tmp_path: Path) -> None:
    """Table → method → percent."""
    (tmp_path / "published.csv").write_text("dataset,KNN,VAE\n45_wine,99.19,94.25\n", encoding="utf-8")

    assert published(tmp_path / "published.csv") == {"45_wine": {"KNN": 99.19, "VAE": 94.25}}


@pytest.mark.parametrize("name", ["47_yeast", "6_cardio", "40_vowels"])
def test_five_nearest_neighbours_give_their_published_figure(name: str) -> None:
    """Tables of which no row is drawn by chance; two of these have an odd number of normal rows."""
    folder = data_folder() / "adbench"
    if not folder.is_dir():
        pytest.skip(f"needs the tables in {folder}: NELBO_DATA names the folder above it")

    parts = part(read(folder / f"{name}.npz"))
    found = judge(parts.anomalous, nearest_neighbours(*parts.standardised()))

    assert found.roc_auc == pytest.approx(published(folder / "published.csv")[name]["KNN"], abs=TOLERANCE)
