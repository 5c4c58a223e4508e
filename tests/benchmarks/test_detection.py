"""The command that detects: what it asks of its harness before it believes a number."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import judge, main, seeds
from benchmarks.detectors import gaussian, isolation_forest, nearest_neighbours


@pytest.mark.parametrize(("text", "meant"), [("3", [3]), ("0-4", [0, 1, 2, 3, 4]), ("2-2", [2])])
def test_seeds(text: str, meant: list[int]) -> None:
    """One, or from the first to the last."""
    assert list(seeds(text)) == meant


@pytest.mark.parametrize("text", ["4-0", "", "a", "1,2"])
def test_what_are_no_seeds(text: str) -> None:
    """A range of none would end in a mean of nothing."""
    with pytest.raises(ValueError, match=r"holds no seed|invalid literal"):
        seeds(text)


def test_a_harness_that_does_not_reproduce_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """5-NN far from its published figure: status 1, and nothing is fitted."""
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((1200, 3)), np.arange(1200) >= 1100
    x[y] += 1.0
    folder = tmp_path / "adbench"
    folder.mkdir()
    np.savez(folder / "made_up.npz", X=x, y=y.astype(int))
    (folder / "published.csv").write_text("dataset,KNN,DTE-NP,VAE\nmade_up,12.34,50,50\n", encoding="utf-8")
    monkeypatch.setenv("NELBO_DATA", str(tmp_path))

    assert main(["--seeds", "0"]) == 1

    assert "it FAILS" in capsys.readouterr().out


def test_an_unknown_table_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the names there are."""
    (tmp_path / "adbench").mkdir()
    (tmp_path / "adbench" / "published.csv").write_text("dataset,KNN\n45_wine,99.19\n", encoding="utf-8")
    monkeypatch.setenv("NELBO_DATA", str(tmp_path))

    assert main(["--tables", "wine"]) == 2

    assert capsys.readouterr().err == "no such table: wine; there are 45_wine\n"


def test_every_rival_puts_the_odd_rows_first() -> None:
    """Rows far from all that was trained on come before the others: both figures are 100 %."""
    generator = np.random.default_rng(0)
    train, test = generator.standard_normal((500, 3)), generator.standard_normal((60, 3))
    odd = np.arange(60) >= 50
    test[odd] += 20.0

    for scores in (nearest_neighbours(train, test), gaussian(train, test), isolation_forest(train, test, seed=0)):
        found = judge(odd, scores)
        assert (found.roc_auc, found.precision) == (pytest.approx(100), pytest.approx(100))
