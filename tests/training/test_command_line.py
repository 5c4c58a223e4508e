"""`nelbo-train` as a person runs it: same bytes twice, interruption and resumption, versions side by side, refusals."""

import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from app import bundle, report
from app.engine import Engine
from tests.conftest import plant_rows
from training.__main__ import main
from training.build import build
from training.checkpoint import sole_run
from training.config import Config
from training.data import describe
from training.fit import TrainingError, descend, start
from training.standardise import standardise
from training.train import density_stage

ARGUMENTS = ["plant.csv", "--name", "plant", "--config", "run.toml", "--threads", "1"]
CONFIG = "steps = 1000\nwidth = 16\ncomponents = 5\n"


@dataclass(frozen=True)
class Finished:
    """A desk after a whole run."""

    desk: Path
    printed: str


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with plant.csv, 600 rows of four sensors with a hole, and a quick run.toml."""
    return lay_out(tmp_path / "desk")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Such a folder after a run that was left alone, and what the run printed."""
    desk = lay_out(tmp_path_factory.mktemp("finished") / "desk")
    return Finished(desk, train(desk))


def lay_out(folder: Path) -> Path:
    """The same desk in any folder."""
    folder.mkdir()
    cells = [[f"{value:.6g}" for value in row] for row in plant_rows(600, seed=3)]
    cells[7][1] = ""
    lines = ["temperature [°C],pressure [mbar],flow [m³/h],valve", *(",".join(row) for row in cells)]
    (folder / "plant.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "run.toml").write_text(CONFIG, encoding="utf-8")
    return folder


def train(desk: Path, *more: str) -> str:
    """Run the command in `desk` to a good end; what it printed."""
    told = subprocess.run(command(*more), cwd=desk, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


def command(*more: str) -> list[str]:
    """The command line, in this interpreter."""
    return [sys.executable, "-m", "training", *ARGUMENTS, *more]


def interrupt(desk: Path, how: signal.Signals, *more: str) -> tuple[int, str]:
    """The command, sent `how` as soon as it has kept something: its exit code and what it said last."""
    with subprocess.Popen(
        command(*more), cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        for _ in range(5):
            run.stderr.readline()
        run.send_signal(how)
        return run.wait(timeout=60), run.stderr.read()


def kill_exporting(desk: Path) -> None:
    """Go on with a run, and kill -9 it while it makes the bundle."""
    with subprocess.Popen(command("--resume"), cwd=desk, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while not list((desk / "models").glob(".making-*")):
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()


def refused(desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """What the command says when it writes nothing."""
    monkeypatch.chdir(desk)
    assert main([*ARGUMENTS, *more]) == 1
    assert not (desk / "models" / "plant").exists()
    return capsys.readouterr().err


def same_model(one: Path, other: Path) -> bool:
    """Whether every file is identical, the manifest with the recorded command included."""
    sums = [bundle.read(desk / "models" / "plant" / "1").path / bundle.SUMS for desk in (one, other)]
    return sums[0].read_bytes() == sums[1].read_bytes()


def test_a_table_becomes_a_bundle_that_scores(finished: Finished) -> None:
    """The CSV's names and units reach the manifest, and the exported model scores its rows."""
    written = bundle.read(finished.desk / "models" / "plant" / "1")

    assert [(s.name, s.unit, s.constant) for s in written.manifest.sensors] == [
        ("temperature", "°C", False),
        ("pressure", "mbar", False),
        ("flow", "m³/h", False),
        ("valve", None, True),
    ]
    assert written.manifest.provenance.command.startswith("nelbo-train plant.csv --name plant")
    assert written.manifest.calibration.rows == 120
    assert "sensor 'valve' is always 3" in finished.printed
    assert np.isfinite(Engine(written).score(plant_rows(50, seed=4)).score).all()


def test_a_run_ends_with_verdicts_and_a_report(finished: Finished) -> None:
    """What was found is told in plain words, and is in the bundle: the valve at rest, suspects by line, bands."""
    told = report.read(bundle.read(finished.desk / "models" / "plant" / "1"))

    assert [(sensor.name, sensor.kind) for sensor in told.sensors] == [("valve", "constant")]
    assert told.suspects is not None
    assert all(row.line == row.row + 1 for row in told.suspects.rows)
    assert [verdict.about for verdict in told.verdicts][:3] == ["curve", "sensors", "rows"]
    for verdict in told.verdicts:
        assert verdict.text in finished.printed
    assert "nelbo inspect models/plant/1 shows all that was found" in finished.printed


def test_nothing_else_is_left_behind(finished: Finished) -> None:
    """After a run the repository holds the bundle and no half-made folder or checkpoint."""
    files = [entry for entry in (finished.desk / "models").rglob("*") if entry.is_file()]

    assert [entry.name for entry in files if entry.parent.name != "1"] == ["lock"]


def test_an_interrupted_run_in_another_folder_resumes_to_the_same_bytes(finished: Finished, desk: Path) -> None:
    """Kill -9 and Ctrl-C as it fits, kill -9 as it exports, each gone on with: the files of a run left alone elsewhere.

    No file names a folder of this machine, and nothing half-made is left.
    """
    killed, _ = interrupt(desk, signal.SIGKILL)
    stopped, _ = interrupt(desk, signal.SIGINT, "--resume")
    kill_exporting(desk)
    assert not (desk / "models" / "plant" / "1").exists()

    train(desk, "--resume")

    assert (killed, stopped) == (-signal.SIGKILL, 130)
    assert same_model(finished.desk, desk)
    assert {entry.name for entry in (desk / "models").iterdir()} == {".training", "plant"}
    for file in (desk / "models" / "plant" / "1").iterdir():
        assert str(desk).encode() not in file.read_bytes()
        assert str(Path(bundle.__file__).parents[1]).encode() not in file.read_bytes()


def test_the_best_so_far_is_exported_when_asked(finished: Finished, tmp_path: Path) -> None:
    """Ctrl-C tells where the best is kept; --resume --minutes 0 exports it as it is, as the next version."""
    desk = Path(shutil.copytree(finished.desk, tmp_path / "desk"))
    _, said = interrupt(desk, signal.SIGINT)

    train(desk, "--resume", "--minutes", "0", "--interval", "600")

    assert "checkpoint.pt" in said
    assert "--resume --minutes 0" in said
    second = bundle.read(desk / "models" / "plant" / "2").manifest
    assert (second.version, second.calibration.interval_seconds) == (2, 600)


def test_a_worse_version_is_not_written_when_told_so(finished: Finished, tmp_path: Path) -> None:
    """`mse + 1e-4·KL` is told as the fixed scale √(w·D/2) it is, is compared on the same rows, and loses."""
    desk = Path(shutil.copytree(finished.desk, tmp_path / "desk"))
    (desk / "run.toml").write_text(CONFIG + "kl_weight = 1e-4\n", encoding="utf-8")

    printed = train(desk, "--only-if-better")

    assert "decoder scale of 0.01225 training scales" in printed
    assert "with version 1" in printed
    assert "version 1 is kept" in printed
    assert [entry.name for entry in (desk / "models" / "plant").iterdir()] == ["1"]


def test_resume_without_a_checkpoint_is_refused(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--resume with nothing to resume says so."""
    assert "no checkpoint" in refused(desk, monkeypatch, capsys, "--resume")


def test_resume_of_another_configuration_is_refused(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint is continued only with the data and configuration that made it."""
    interrupt(desk, signal.SIGKILL)
    (desk / "run.toml").write_text(CONFIG + "seed = 1\n", encoding="utf-8")

    assert "other data, configuration" in refused(desk, monkeypatch, capsys, "--resume")


def test_two_runs_of_one_model_do_not_meet(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While one run writes a model, a second is refused."""
    with sole_run(desk / "models" / ".training" / "plant"):
        assert "another nelbo-train" in refused(desk, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("toml", "word"),
    [
        ("stepz = 3\n", "stepz"),
        ("steps = 0\n", "run.toml: steps is 0"),
        ('decoder_scale = "wide"\n', "decoder_scale"),
        ("kl_weight = -1\n", "kl_weight"),
        ("steps = \n", "not TOML"),
        ('drop = ["presure"]\n', "pressure"),
    ],
)
def test_a_wrong_configuration_is_refused(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], toml: str, word: str
) -> None:
    """An unknown key, a meaningless value or an unknown column is named, and nothing is written."""
    (desk / "run.toml").write_text(toml, encoding="utf-8")

    assert word in refused(desk, monkeypatch, capsys)


def test_a_loss_that_is_not_finite_exports_nothing(desk: Path) -> None:
    """The step, the stage and the first tensor that is not finite are named."""
    x = plant_rows(200, seed=3)
    sensors = describe(x, ("a", "b", "c", "d"), (None,) * 4)
    rows = standardise(x, sensors)
    config = Config(width=16, components=5)
    vae = build(config, sensors, rows)
    with torch.no_grad():
        vae.decode.offset[1] = torch.nan

    density = density_stage(config, 3, None)

    with pytest.raises(TrainingError, match=r"step 0 of stage 'density'.*parameter decode.offset"):
        descend(start(vae, seed=0), density, rows, rows, lambda descent: None)


def test_a_plant_that_drifts_is_warned_of(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In time order: the clock that was left out tells alarms a day, and scores that move at the end are told."""
    x = plant_rows(600, seed=3)
    x[480:, 0] += 8
    rows = [f"2024-01-01 {i // 60:02}:{i % 60:02},{','.join(f'{value:.6g}' for value in x[i])}" for i in range(600)]
    (desk / "plant.csv").write_text("\n".join(["time,temperature,pressure,flow,valve", *rows]), encoding="utf-8")
    (desk / "run.toml").write_text('steps = 2\nwidth = 0\ncomponents = 0\nsplit = "time"\n', encoding="utf-8")
    monkeypatch.chdir(desk)

    assert main([*ARGUMENTS, "--drop", "time"]) == 0

    printed = capsys.readouterr().out
    assert "14.4 false alarms a day are expected, a row every 60 s" in printed
    assert "warning: scores moved between validation and calibration rows" in printed
    order = bundle.read(desk / "models" / "plant" / "1").manifest.calibration.order
    assert order is not None
    assert order.split == "time"


@pytest.mark.parametrize("minutes", ["-1", "inf", "nan"])
def test_minutes_that_are_no_time_are_refused(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], minutes: str
) -> None:
    """0 exports what there is; less than that is no time."""
    assert "--minutes is" in refused(desk, monkeypatch, capsys, "--minutes", minutes)


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan"])
def test_an_interval_that_is_no_time_is_refused(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: str
) -> None:
    """Seconds are positive and finite."""
    assert "--interval is" in refused(desk, monkeypatch, capsys, "--interval", seconds)


def test_without_the_extra_it_says_what_to_install() -> None:
    """The command is there as soon as the service is installed."""
    without = "import sys; sys.modules['torch'] = None; from training.command import main; sys.exit(main())"
    told = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False)

    assert told.returncode == 1
    assert told.stderr.startswith("nelbo-train: torch is not installed; expected nelbo with its extra")
    assert told.stderr.count("\n") == 1
