"""Tables of many pieces: by several processes, cut short, and gone on with."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from app.columns import Wanted
from app.errors import NelboError, TableError
from app.hold import Hold
from app.model import Model, open_model
from app.processes import Opening
from app.scoring import Job, Workers, score_file
from app.settings import Settings
from app.unfinished import unfinished
from tests.conftest import PLANT_NAMES, plant_rows

ROOT = Path(__file__).parents[2]
BUNDLED = ROOT / "models" / "gas-turbine" / "1"
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
    x[7::90, 2] = np.nan
    x[5::70, [0, 3]] = np.nan
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


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_cell_may_be_of_any_length(quote: str, model: Model, tmp_path: Path) -> None:
    """Here longer than Python's reader takes by itself; it passes through whole."""
    cells = ",".join(map(repr, plant_rows(1, seed=31)[0].tolist()))
    note = 150_000 * "x"
    table, out = tmp_path / "readings.csv", tmp_path / "scored.csv"
    table.write_text(
        "\n".join([",".join([*PLANT_NAMES, "note"]), f"{cells},{quote}{note}{quote}", f"{cells},short", ""])
    )

    score(table, out, model, Workers(1))

    _, long, short = out.read_text().splitlines()
    assert note in long
    assert long.split(",")[-3:] == short.split(",")[-3:]


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


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_run_that_is_killed_is_gone_on_with(
    table: Path, model: Model, models: Path, tmp_path: Path, kind: str
) -> None:
    """kill -9 whenever more is safe; the same command ends with the bytes of a run that nothing cut short."""
    readings = table if kind == "csv" else as_parquet(table, tmp_path / "readings.parquet")
    score(readings, tmp_path / f"whole.{kind}", model, Workers(1))
    there = set(os.listdir(tmp_path))
    out, journal = tmp_path / f"scored.{kind}", tmp_path / f".scored.{kind}.journal"
    for _ in range(3):
        before = journal.read_bytes() if journal.exists() else b""
        killed = command(models, readings, out)
        deadline = time.monotonic() + 60
        while not journal.exists() or journal.read_bytes() == before:
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert not out.exists()

    last = command(models, readings, out)
    _, said = last.communicate(timeout=120)

    assert last.returncode == 0
    assert re.match(rb"nelbo: .*: going on from (line|row) \d+, where", said)
    assert out.read_bytes() == (tmp_path / f"whole.{kind}").read_bytes()
    assert set(os.listdir(tmp_path)) == there | {out.name}


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
    """The same scores, in the columns behind those of the file, whoever scored which piece."""
    readings, out = as_parquet(table, tmp_path / "readings.parquet"), tmp_path / "scored.parquet"
    for workers in (Workers(1), Workers(2, patience=0)):
        score(readings, out, model, workers)
        scored = pyarrow.parquet.read_table(out)
        found = [line.split(",")[-3:] for line in whole.decode().splitlines()[1:]]

        assert scored.column_names == ["row", *PLANT_NAMES, "score", "p_value", "alarm"]
        assert [[repr(s), repr(p), str(a).lower()] for s, p, a in rows_of(scored, 3)] == found
        assert scored.drop_columns(["score", "p_value", "alarm"]).equals(pyarrow.parquet.read_table(readings))


def test_a_mark_far_down_that_is_the_other_one(model: Model, tmp_path: Path) -> None:
    """The first cells tell the decimal mark; a cell that disagrees is refused, with the places of both."""
    row = "20;1013;5;3\n"
    file = tmp_path / "readings.csv"
    for first, last in (("20.5", "21,5"), ("20,5", "21.5")):
        file.write_text(";".join(PLANT_NAMES) + f"\n{first};1013;5;3\n" + row * 60_000 + f"{last};1013;5;3\n")
        comma, point = (2, 60_003) if "," in first else (60_003, 2)

        with pytest.raises(TableError) as refusal:
            score(file, tmp_path / "scored.csv", model, Workers(1))

        assert re.search(rf"line {comma}, .*,5' has a comma, but .*line {point}, .*\.5' a point", str(refusal.value))


def test_one_run_at_a_time(table: Path, model: Model, tmp_path: Path) -> None:
    """Two runs into one file do not mix their rows: the second is refused, and the first goes on."""
    out = tmp_path / "scored.csv"
    with unfinished(out, ("first",)) as first:
        first.write(b"rows")
        with pytest.raises(TableError, match="another nelbo score is writing it"):
            score(table, out, model, Workers(1))
        assert first.path.exists()


def test_what_a_process_refuses_is_told(table: Path, model: Model, tmp_path: Path) -> None:
    """A bundle that was exchanged while it is in use is refused by the process that opens it, and nothing is left."""
    job = Job(table, Wanted(0.05, explain=False), Hold.parse("1/1"), Workers(2, patience=0))

    with pytest.raises(NelboError, match="the bundle was changed while it was in use"):
        score_file(job, tmp_path / "scored.csv", model, Opening(model.bundle.path, "another", SETTINGS))

    assert os.listdir(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_process_outlives_the_command(tmp_path: Path, sent: signal.Signals, status: int) -> None:
    """Ctrl-C, which a terminal sends to all, and a kill of the one that was started end all of them."""
    names = open_model(BUNDLED, SETTINGS).manifest.sensor_names
    file = tmp_path / "readings.csv"
    file.write_text(",".join(names) + "\n" + (",".join("1" * len(names)) + "\n") * 400_000)
    asked = ["score", str(file), "-o", str(tmp_path / "scored.csv"), "--workers", "2", "--models", "models"]
    start = [sys.executable, "-m", "app", *asked, "--device", "cpu"]
    run = subprocess.Popen(start, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    wait_until(lambda: len(children.read_text().split()) == 3)  # one of them keeps account of what they share
    if sent == signal.SIGINT:
        os.killpg(run.pid, sent)
    else:
        run.send_signal(sent)
    _, said = run.communicate(timeout=30)

    assert run.returncode == status
    assert sent == signal.SIGKILL or b"Traceback" not in said  # one that is only starting may miss what it was to read
    wait_until(lambda: not members(run.pid))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(models: Path, table: Path, tmp_path: Path) -> None:
    """Ten times the rows take no more memory than the pieces do that are in flight, twenty megabytes at most."""
    longer = tmp_path / "longer.csv"
    header, _, rows = table.read_bytes().partition(b"\n")
    longer.write_bytes(header + b"\n" + rows * 10)
    program = "import app.__main__, pathlib; app.__main__.main(); print(pathlib.Path('/proc/self/status').read_text())"
    peaks = []
    for file in (table, longer):
        asked = ["score", str(file), "-o", str(tmp_path / "scored.csv"), "--models", str(models), "--workers", "1"]
        done = subprocess.run([sys.executable, "-c", program, *asked], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        peaks.append(int(re.findall(rb"VmHWM:\s+(\d+) kB", done.stdout)[0]))

    assert peaks[1] - peaks[0] < 20_000


def as_parquet(table: Path, file: Path) -> Path:
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(table), file, row_group_size=7000)
    return file


def rows_of(scored: pyarrow.Table, columns: int) -> Iterator[tuple[object, ...]]:
    """The last columns, row by row."""
    return zip(*(column.to_pylist() for column in scored.columns[-columns:]), strict=True)


def members(group: int) -> list[str]:
    """The processes of a group that still run."""
    stats = [file.read_text().rpartition(")")[2].split() for file in Path("/proc").glob("[0-9]*/stat") if file.exists()]
    return [state for state, _, its_group, *_ in stats if int(its_group) == group and state != "Z"]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
