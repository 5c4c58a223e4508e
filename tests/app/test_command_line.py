"""nelbo score and nelbo inspect on real bundles, and what the command line answers to what it refuses."""

import csv
import os
import pty
import re
import shutil
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from app.__main__ import main
from app.bundle import Bundle
from app.keyring import Keyring
from app.model import Model, open_model
from app.settings import Settings

HEADER = "time,temperature [°C],pressure,flow,valve,note"
ROWS = [
    '2024-01-01 00:00,20.5,1013.25,5.1,3,"all, well"',
    "2024-01-01 01:00,21,,4.9,3.0,",
    "2024-01-01 02:00,90,1013,5,3,hot",
]
X = np.array([[20.5, 1013.25, 5.1, 3], [21, np.nan, 4.9, 3], [90, 1013, 5, 3]])


@pytest.fixture
def plant(models: Path) -> Model:
    return open_model(models / "plant" / "2", Settings(device="cpu"))


@pytest.fixture
def readings(tmp_path: Path) -> Path:
    file = tmp_path / "readings.csv"
    file.write_text("\n".join([HEADER, *ROWS, ""]), encoding="utf-8")
    return file


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def refusal(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that a refused command writes to stderr."""
    status = run(*arguments)

    out, err = capfd.readouterr()
    assert (status, out) == (1, "")
    assert err.startswith("nelbo: ")
    assert err.count("\n") == 1
    return err


def test_score_adds_columns_to_the_same_rows(
    models: Path, plant: Model, readings: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every line comes back as it was, followed by score, p-value and alarm, in full precision."""
    assert run("score", readings, "--models", models) == 0

    header, *lines = capfd.readouterr().out.splitlines()
    scores = plant.engine.score(X).score
    verdict = plant.calibration.judge(X, scores, 0.01)
    assert header == f"{HEADER},score,p_value,alarm"
    for line, row, score, p, alarm in zip(lines, ROWS, scores, verdict.p_value, verdict.alarm, strict=True):
        assert line == f"{row},{float(score)!r},{float(p)!r},{'true' if alarm else 'false'}"
    assert lines[2].endswith(",true")


def test_explain_adds_what_the_score_is_made_of(
    models: Path, readings: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """kl and the nats of each sensor sum to the score; a missing sensor has none."""
    assert run("score", readings, "--models", models, "--explain") == 0

    rows = list(csv.DictReader(capfd.readouterr().out.splitlines()))
    parts = ["kl", "nats:temperature", "nats:pressure", "nats:flow", "nats:valve"]
    assert list(rows[0])[-8:] == ["score", "p_value", "alarm", *parts]
    for row in rows:
        assert sum(float(row[part]) for part in parts) == pytest.approx(float(row["score"]), rel=1e-9)
    assert rows[1]["nats:pressure"] == "0.0"


def test_score_keeps_delimiter_and_decimal_mark(
    models: Path, plant: Model, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A table with decimal commas gets scores with decimal commas."""
    file = tmp_path / "plant.csv"
    file.write_text("valve;flow;pressure;temperature\n3;5,1;1013,25;20,5\n")

    assert run("score", file, "--models", models) == 0

    score = float(plant.engine.score(X[:1]).score[0])
    assert capfd.readouterr().out.splitlines()[1].split(";")[4] == repr(score).replace(".", ",")


def test_lines_come_back_as_they_were(models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Quotes, blanks and spellings stay; what is added follows in the file's own dialect, quoted where it must be."""
    file = tmp_path / "plant.csv"
    number = r"-?\d+,\d+(e-\d+)?"
    tables = {
        'id;"flow";pressure;temperature;valve;note': (['007; 5,10 ;1013;20,5;3;"x;y"', "008;5;1013;21;3;"], number),
        "flow,pressure,temperature,valve": (['"5,1",1013,"20,5",3'], f'"{number}"'),
    }
    for header, (rows, cell) in tables.items():
        delimiter = header[2] if header.startswith("id") else ","
        file.write_bytes("\r\n".join([header, *rows]).encode())

        assert run("score", file, "--models", models) == 0

        first, *lines = capfd.readouterr().out.splitlines()
        assert first == header + delimiter + delimiter.join(["score", "p_value", "alarm"])
        for line, row in zip(lines, rows, strict=True):
            assert re.fullmatch(f"{re.escape(row)}({delimiter}{cell}){{2}}{delimiter}(true|false)", line)


def test_a_pipe_is_scored(models: Path, readings: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What can be read once only is a table too."""
    run("score", readings, "--models", models)

    line = [sys.executable, "-m", "app", "score", "/dev/stdin", "--models", models]
    done = subprocess.run(line, input=readings.read_bytes(), capture_output=True, check=True)

    assert done.stdout.decode() == capfd.readouterr().out


def test_a_terminal_sees_how_far_it_is(models: Path, readings: Path, tmp_path: Path) -> None:
    """A bar with the rows a second on a terminal's stderr, and nothing on one that is none."""
    line = [sys.executable, "-m", "app", "score", readings, "-o", tmp_path / "out.csv", "--models", models]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    subprocess.run(line, stderr=theirs, check=True)
    silent = subprocess.run(line, stderr=subprocess.PIPE, check=True)

    assert re.search(rb"100%.*rows/s", os.read(ours, 2**16))
    assert silent.stderr == b""
    os.close(ours)
    os.close(theirs)


def test_score_writes_the_file_named(models: Path, readings: Path, tmp_path: Path) -> None:
    """-o takes the place of the file that was there, which may be the one read, and leaves nothing beside it."""
    assert run("score", readings, "-o", readings, "--models", models) == 0

    assert readings.read_text(encoding="utf-8").splitlines()[0] == f"{HEADER},score,p_value,alarm"
    assert list(tmp_path.iterdir()) == [readings]


def test_parquet_in_parquet_out(models: Path, plant: Model, readings: Path, tmp_path: Path) -> None:
    """A Parquet table keeps its columns and types, and gets the same scores."""
    file, out = tmp_path / "plant.parquet", tmp_path / "out.parquet"
    pq.write_table(pyarrow.csv.read_csv(readings), file)
    table = pq.read_table(file)

    assert run("score", file, "-o", out, "--models", models) == 0

    scored = pq.read_table(out)
    assert scored.select(table.column_names).equals(table)
    np.testing.assert_array_equal(scored["score"].to_numpy(), plant.engine.score(X).score)
    assert scored["alarm"].to_pylist() == [False, False, True]


def test_hold_tells_alarms_that_last(models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """2 of 3: one hot row alone is no alarm, the second within three rows is, for as long as two are in sight."""
    hot = [False, True, False, False, True, True, False, False, True, False]
    file = tmp_path / "plant.csv"
    lines = ["temperature,pressure,flow,valve", *(f"{90 if each else 20},1013,5,3" for each in hot)]
    file.write_text("\n".join(lines), encoding="utf-8")

    assert run("score", file, "--models", models, "--hold", "2/3") == 0

    told = [line.rsplit(",", 1)[1] for line in capfd.readouterr().out.splitlines()]
    assert told == ["alarm", *["false"] * 5, "true", "true", *["false"] * 3]


def test_a_hold_that_makes_no_sense_is_refused(models: Path, readings: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What was written and what is expected, before anything is scored."""
    assert "--hold is '3 of 5'; expected k/m" in refusal(capfd, "score", readings, "--hold", "3 of 5")
    assert "--hold is 6/5; expected k/m" in refusal(capfd, "score", readings, "--models", models, "--hold", "6/5")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER.replace("flow", "flux"), "expected one column 'flow', a sensor of the model; found time, temperature"),
        (HEADER.replace("flow", "flux").replace("valve", "vent"), "note; 1 more sensors have none"),
        (HEADER.replace("time", "temperature [K]"), "found 'temperature [K]' and 'temperature [°C]'"),
        (HEADER.replace("°C", "K"), "column 'temperature [K]': expected the sensor 'temperature' in °C"),
        (HEADER.replace("note", "alarm"), "there is a column 'alarm' already; expected none of score, p_value, alarm"),
        (HEADER.replace("valve,note", "note,valve"), "line 2, column 'valve': 'all, well' is not a number"),
    ],
)
def test_tables_that_do_not_fit_the_model(
    models: Path, readings: Path, capfd: pytest.CaptureFixture[str], header: str, message: str
) -> None:
    """A missing, doubtful or wrongly measured sensor is refused, and so is a name that is taken."""
    readings.write_text("\n".join([header, *ROWS, ""]), encoding="utf-8")

    assert message in refusal(capfd, "score", readings, "--models", models)


def test_a_decimal_mark_that_no_cell_proves_is_told(
    models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """1,013 may be either; a mark that was told is refused where a cell has the other one."""
    file = tmp_path / "plant.csv"
    file.write_text("temperature;pressure;flow;valve\n20;1,013;5;3\n", encoding="utf-8")

    assert "or --decimal comma" in refusal(capfd, "score", file, "--models", models)
    assert run("score", file, "--models", models, "--decimal", "comma") == 0
    assert capfd.readouterr().out.splitlines()[1].startswith("20;1,013;5;3;")
    file.write_text("temperature;pressure;flow;valve\n20;1.013;5;3\n", encoding="utf-8")
    assert "decimal = comma has a comma, but" in refusal(capfd, "score", file, "--models", models, "--decimal", "comma")


def test_a_failure_leaves_the_old_file(
    models: Path, readings: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing is replaced by half of something."""
    out = tmp_path / "out.csv"
    out.write_text("what was there")

    refusal(capfd, "score", readings, "-o", out, "--models", models, "--false-alarm-rate", "0.9")

    assert out.read_text() == "what was there"
    assert sorted(tmp_path.iterdir()) == [out, readings]


@pytest.mark.parametrize(
    ("out", "message"),
    [("nowhere/out.csv", "No such file or directory"), (".", "not a plain file"), ("/dev/null", "not a plain file")],
)
def test_places_that_cannot_be_written(
    models: Path, readings: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], out: str, message: str
) -> None:
    """Where the answer cannot be written is a sentence; a device is not replaced by a file."""
    assert message in refusal(capfd, "score", readings, "-o", tmp_path / out, "--models", models)


def test_parquet_needs_a_file_to_go_to(
    models: Path, readings: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A terminal cannot show Parquet."""
    file = tmp_path / "plant.parquet"
    pq.write_table(pyarrow.csv.read_csv(readings), file)

    assert "the scores of a Parquet file go to a file; expected -o OUT" in refusal(
        capfd, "score", file, "--models", models
    )


def test_the_model_can_be_named(models: Path, readings: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """--model takes a version; one that is not there is told with those that are."""
    assert run("score", readings, "--models", models, "--model", "plant@1") == 0
    capfd.readouterr()

    assert "there are: plant@2, plant@1" in refusal(capfd, "score", readings, "--models", models, "--model", "plant@3")


def command(*arguments: object, stdout: int | None = None) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", "app", *map(str, arguments)]
    return subprocess.run(line, stdout=stdout, stderr=subprocess.PIPE, check=False)


@pytest.mark.parametrize("question", ["score", "inspect"])
def test_a_reader_that_went_away(models: Path, readings: Path, question: str) -> None:
    """Writing to a closed pipe ends in silence, as it does for every other command."""
    asked = (readings, "--models", models) if question == "score" else (models / "plant" / "1",)
    reading, writing = os.pipe()
    os.close(reading)

    done = command(question, *asked, stdout=writing)

    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_full_disk(models: Path, readings: Path) -> None:
    """Output that cannot be written is one line, not a traceback."""
    with Path("/dev/full").open("wb") as full:
        done = command("score", readings, "--models", models, stdout=full.fileno())

    assert (done.returncode, done.stderr) == (1, b"nelbo: stdout: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
@pytest.mark.parametrize("asked", ["inspect", "key"])
def test_a_full_disk_for_what_is_told(models: Path, asked: str) -> None:
    """Nor is what the other commands print; a key that nobody has seen is not to be used."""
    arguments = ["inspect", models / "plant" / "2", "--device", "cpu"] if asked == "inspect" else ["key", "historian"]
    with Path("/dev/full").open("wb") as full:
        done = command(*arguments, stdout=full.fileno())

    assert (done.returncode, done.stderr) == (1, b"nelbo: stdout: No space left on device\n")


def test_inspect_shows_the_manifest(models: Path, plant: Model, capfd: pytest.CaptureFixture[str]) -> None:
    """A person sees the sensors with their units, the calibration, where the model came from, and that it verified."""
    assert run("inspect", models / "plant" / "2", "--device", "cpu") == 0

    shown = capfd.readouterr().out
    assert shown.startswith("plant@2, format 3\n")
    for sensor in plant.manifest.sensors:
        assert f"\n  {sensor.name} " in shown
    assert "°C" in shown
    assert "constant in training" in shown
    assert "999 held-out rows" in shown
    assert plant.manifest.provenance.data_sha256 in shown
    assert "verified on cpu: hashes, signatures" in shown


def test_inspect_shows_how_far_p_values_may_be_trusted(tailed: Bundle, capfd: pytest.CaptureFixture[str]) -> None:
    """The tail and its least rate, alarms a day, and what the rows' order says."""
    assert run("inspect", tailed.path, "--device", "cpu") == 0

    shown = capfd.readouterr().out
    assert "0.24 false alarms a day are expected, a row every 3600 s" in shown
    assert "generalised-Pareto tail from" in shown
    assert "no rate below 1.67e-05 can be asked for\n" in shown
    assert "random split; in the file's order they are worth" in shown
    assert "warning" not in shown


def test_inspect_knows_a_bundle_from_inside(
    models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The folder one stands in has a name too."""
    monkeypatch.chdir(models / "plant" / "1")

    assert run("inspect", ".") == 0
    assert capfd.readouterr().out.startswith("plant@1")


@pytest.mark.parametrize("file", ["manifest.json", "score.onnx", "calibration.npz"])
def test_inspect_refuses_what_must_not_be_served(
    models: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str
) -> None:
    """One changed byte in any file is a refusal that names the file."""
    bundle = tmp_path / "plant" / "1"
    shutil.copytree(models / "plant" / "1", bundle)
    content = bytearray((bundle / file).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / file).write_bytes(content)

    assert f"{bundle}: {file}: SHA-256 is" in refusal(capfd, "inspect", bundle)


def test_inspect_of_no_bundle(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A folder that is something else is told from a bundle."""
    assert "expected a bundle folder" in refusal(capfd, "inspect", tmp_path)


@pytest.mark.parametrize("arguments", [[], ["score"], ["serve", "--nonsense"], ["inspect"]])
def test_usage(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """What argparse does not understand exits with 2 and shows the usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage: nelbo" in capfd.readouterr().err


@pytest.mark.parametrize("flag", [("--port", "x"), ("--device", "tpu"), ("--models", "nowhere"), ("--model", "a b")])
def test_a_service_that_cannot_start(flag: tuple[str, str]) -> None:
    """A setting that makes no sense ends with 3 and one line that names it, before anything listens."""
    done = command("serve", *flag)

    assert done.returncode == 3
    assert f"NELBO_{flag[0].removeprefix('--').upper()}".encode() in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("scopes", [["--scope", "infer,admin"], ["--scope", "admin", "--scope", "infer"]])
def test_a_key_is_printed_once_beside_the_line_that_lets_it_in(
    scopes: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The key alone on stdout, the line alone on stderr, as a file of keys takes it."""
    assert run("key", "historian", *scopes) == 0

    out, err = capfd.readouterr()
    (tmp_path / "keys").write_text("# of the plant\n" + err)
    key = Keyring(Settings(keys_file=tmp_path / "keys")).find(out.strip().encode())
    assert key is not None
    assert (key.name, key.scopes) == ("historian", {"infer", "admin"})
    assert out.strip() not in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a b"], "the name is not 1 to 64 letters"),
        (["plant", "--scope", "all"], "the scopes are not among infer, admin"),
        (["plant", "--scope", ""], "the scopes are not among infer, admin"),
    ],
)
def test_a_key_that_no_file_could_hold_is_not_made(
    capfd: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    """Nothing is printed that looks like one."""
    assert told in refusal(capfd, "key", *arguments)
