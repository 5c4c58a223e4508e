"""Tables of many pieces: by several processes, cut short, and gone on with."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from app.columns import Wanted
from app.hold import Hold
from app.model import Model
from app.repository import open_model
from app.scoring import Job, Workers, score_file
from app.settings import Settings
from app.workers import Opening
from tests.conftest import PLANT_NAMES, plant_rows

ROOT = Path(__file__).parents[2]
ROWS = 40_000
SETTINGS = Settings(device="cpu")


@pytest.fixture(scope="module")
def model(models: Path) -> Model:
    return open_model(models / "plant" / "2", SETTINGS)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some megabytes of readings, a few of them missing: several pieces."""
    x = plant_rows(ROWS, seed=30)
    x[::50, 1] = np.nan
    file = tmp_path_factory.mktemp("table") / "readings.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["row", *PLANT_NAMES])
        writer.writerows([n, *["" if np.isnan(v) else repr(v) for v in row]] for n, row in enumerate(x.tolist()))
    return file


@pytest.fixture(scope="module")
def whole(table: Path, model: Model, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a run that nothing cuts short writes, with one process."""
    out = tmp_path_factory.mktemp("whole") / "scored.csv"
    score(table, out, model, Workers(1))
    return out.read_bytes()


def score(table: Path, out: Path, model: Model, workers: Workers) -> None:
    job = Job(table, Wanted(0.05, explain=False), Hold.parse("2/5"), workers)
    score_file(job, out, model, Opening(model.bundle.path, model.bundle.digest, SETTINGS))


def command(models: Path, table: Path, out: Path) -> subprocess.Popen[bytes]:
    asked = [str(table), "-o", str(out), "--models", str(models), "--workers", "1", "--hold", "2/5"]
    start = [sys.executable, "-m", "app", "score", *asked, "--false-alarm-rate", "0.05", "--device", "cpu"]
    return subprocess.Popen(start, cwd=ROOT, stderr=subprocess.PIPE)


def test_rows_in_pieces_are_scored_as_rows_at_once(whole: bytes, table: Path, model: Model) -> None:
    """Every line comes back with what the engine and the calibration say of all rows, the alarms held over pieces."""
    lines = whole.decode().splitlines()
    x = np.array(
        [[float(v) if v else np.nan for v in line.split(",")[1:]] for line in table.read_text().splitlines()[1:]]
    )
    judged = model.judge(x)
    found = np.array([line.split(",")[-3:-1] for line in lines[1:]], dtype=float)
    alarm = np.array([line.split(",")[-1] == "true" for line in lines[1:]])

    assert len(whole) > 2**21
    np.testing.assert_array_equal(found, np.column_stack([judged.score, judged.p_value]))
    np.testing.assert_array_equal(alarm, Hold.parse("2/5").over(judged.p_value <= 0.05))


def test_several_processes_write_the_same_bytes(whole: bytes, table: Path, model: Model, tmp_path: Path) -> None:
    """In the same order, whoever scored which piece."""
    score(table, tmp_path / "scored.csv", model, Workers(2, patience=0))

    assert (tmp_path / "scored.csv").read_bytes() == whole
    assert os.listdir(tmp_path) == ["scored.csv"]


def test_a_run_that_is_killed_is_gone_on_with(whole: bytes, table: Path, models: Path, tmp_path: Path) -> None:
    """kill -9 as soon as something is safe; the same command ends with the bytes of a run that nothing cut short."""
    out, journal = tmp_path / "scored.csv", tmp_path / ".scored.csv.journal"
    first = command(models, table, out)
    deadline = time.monotonic() + 60
    while not journal.exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not out.exists()

    second = command(models, table, out)
    _, said = second.communicate(timeout=120)

    assert second.returncode == 0
    assert b"going on from line" in said
    assert out.read_bytes() == whole
    assert os.listdir(tmp_path) == ["scored.csv"]


def test_another_input_is_not_gone_on_with(model: Model, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What was left of a run over a file that has changed since is of no use, and that is said."""
    changed = tmp_path / "readings.csv"
    changed.write_text("row,temperature,pressure,flow,valve\n1,20,1013,5,3\n")
    out = tmp_path / "scored.csv"
    partial, journal = tmp_path / ".scored.csv.partial", tmp_path / ".scored.csv.journal"
    partial.write_bytes(b"of another run")
    journal.write_text('{"identity": ["another"], "place": {"offset": 5, "line": 2}, "length": 3, "alarms": ""}')
    score(changed, out, model, Workers(1))

    assert "starting anew" in capfd.readouterr().err
    assert out.read_text().splitlines()[1].startswith("1,20,1013,5,3,")
    assert sorted(os.listdir(tmp_path)) == ["readings.csv", "scored.csv"]


def test_a_bad_cell_far_down_leaves_nothing_behind(table: Path, models: Path, tmp_path: Path) -> None:
    """It is told with its line, and an older output stays as it was."""
    bad = tmp_path / "readings.csv"
    bad.write_bytes(table.read_bytes() + b"x,1,2,3,oops\n")
    out = tmp_path / "scored.csv"
    out.write_text("older")
    run = command(models, bad, out)
    _, said = run.communicate(timeout=120)

    assert run.returncode == 1
    assert f"line {ROWS + 2}, column 'valve'".encode() in said
    assert out.read_text() == "older"
    assert sorted(os.listdir(tmp_path)) == ["readings.csv", "scored.csv"]


def test_parquet_is_scored_by_pieces_too(whole: bytes, table: Path, model: Model, tmp_path: Path) -> None:
    """The same scores, in the columns behind those of the file."""
    import pyarrow.csv
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.csv.read_csv(table), tmp_path / "readings.parquet", row_group_size=7000)
    for workers in (Workers(1), Workers(2, patience=0)):
        score(tmp_path / "readings.parquet", tmp_path / "scored.parquet", model, workers)
        scored = pyarrow.parquet.read_table(tmp_path / "scored.parquet")
        found = [float(line.split(",")[-3]) for line in whole.decode().splitlines()[1:]]

        assert scored.column_names == ["row", *PLANT_NAMES, "score", "p_value", "alarm"]
        np.testing.assert_array_equal(scored.column("score").to_numpy(), found)
