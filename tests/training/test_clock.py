"""The time from row to row, found in columns that are not trained on."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.data import read

ROWS = 60


def table(folder: Path, times: list[str], delimiter: str = ",") -> Path:
    """A text file with the columns when, flow and pump; a time may hold the row's {minute} or its {day}."""
    lines = [delimiter.join(("when", "flow", "pump"))]
    for row in range(ROWS):
        when = times[row % len(times)].format(day=f"2024-01-{1 + row % 28:02}", month=1 + row // 28, minute=row)
        lines.append(delimiter.join((when, str(row % 7), str(row % 5))))
    file = folder / "table.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2024-01-01 00:{minute:02}", 60),
        ("2024-01-01T00:00:{minute:02}Z", 1),
        ("2024-01-01T00:{minute:02}:00+02:00", 60),
        ("2024-01-01 00:00:00.{minute:03}", 0.001),
    ],
)
def test_dates_and_times_of_iso_8601_are_a_clock(tmp_path: Path, time: str, seconds: float) -> None:
    """With or without a zone, a T and fractions of a second."""
    assert read(table(tmp_path, [time]), drop=["when"]).interval == pytest.approx(seconds, rel=1e-3)


@pytest.mark.parametrize(
    "time", ["{minute}", "202401{minute:02}", "01/02/2024 00:{minute:02}", "2024-01-01", "{day}", "-"]
)
def test_what_is_no_clock(tmp_path: Path, time: str) -> None:
    """A row number, other ways to write dates, a time that stands still or goes back: nobody guesses."""
    assert read(table(tmp_path, [time]), drop=["when"]).interval is None


def test_a_time_in_every_row_makes_a_clock(tmp_path: Path) -> None:
    """One cell without a time, late in the file, and the column is none."""
    file = table(tmp_path, ["2024-01-01 00:{minute:02}"])
    file.write_text(file.read_text().replace("2024-01-01 00:58", "n/a"), encoding="utf-8")

    assert read(file, drop=["when"]).interval is None


def test_a_hole_in_a_log_does_not_count(tmp_path: Path) -> None:
    """The interval is the median: one night without rows changes nothing."""
    file = table(tmp_path, ["2024-01-01 00:{minute:02}"])
    file.write_text(file.read_text().replace("2024-01-01 00:59", "2024-01-02 08:00"), encoding="utf-8")

    assert read(file, drop=["when"]).interval == 60


@pytest.mark.parametrize("resolution", ["s", "ms", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_timestamp_of_parquet_is_a_clock(tmp_path: Path, resolution: str, zone: str | None) -> None:
    """Of any resolution, with a zone or without, where it is left out of what is trained on."""
    start = np.datetime64("2024-01-01T00:00:00", "s")
    when = pa.array(start + 10 * np.arange(ROWS)).cast(pa.timestamp(resolution, zone))
    flow = pa.array(np.random.default_rng(0).standard_normal(ROWS))
    pq.write_table(pa.table({"when": when, "flow": flow}), tmp_path / "table.parquet")

    assert read(tmp_path / "table.parquet", drop=["when"]).interval == 10


def test_a_table_of_sensors_only_has_no_clock(tmp_path: Path) -> None:
    """Nor has an array, nor a column that is trained on."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((ROWS, 2)))

    assert read(tmp_path / "x.npy").interval is None
    assert read(table(tmp_path, ["{minute}"])).interval is None
