"""What goes wrong around a training run: no room, no numbers, a second run, kill -9. What was kept stays as it was."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from app import bundle
from app.__main__ import main as nelbo
from tests.conftest import plant_rows
from training.__main__ import main
from training.build import build
from training.checkpoint import sole_run
from training.config import Config
from training.data import describe
from training.ending import TERMINATED
from training.export import clear
from training.fit import TrainingError, descend, start
from training.standardise import standardise
from training.train import density_stage

ARGUMENTS = ["plant.csv", "--name", "plant", "--config", "run.toml", "--threads", "1"]
FULL = "No space left on device"
ROOM = 8 * 2**20
ROOT = Path(__file__).parents[2]
EARLIER = ROOT / "models" / "gas-turbine"
KILLS = 4
"""`make soak` kills whole runs ten times."""

# Fits as a run does, going on where there is something to go on with; once fitted it begins anew.
FIT = """
import torch
from pathlib import Path
from tests.conftest import plant_rows
from training.checkpoint import Checkpoint
from training.config import Config, Limits
from training.data import describe
from training.standardise import standardise
from training.train import train
torch.set_num_threads(1)
x = plant_rows(400, seed=3)[:, :3]
sensors = describe(x, ("temperature", "pressure", "flow"), (None,) * 3)
parts = standardise(x[:300], sensors), standardise(x[300:], sensors)
kept = Checkpoint(Path("checkpoint.pt"), "this fit")
config = Config(steps=800, width=8, components=2)
fitted = train(config, sensors, parts, Limits(None, 1), kept, kept.file.exists(), lambda point: None)
torch.save(fitted.vae.state_dict(), "weights.pt")
kept.remove()
"""


@dataclass(frozen=True)
class Desk:
    """A folder with a table, an earlier bundle, and what a run had kept when SIGTERM came."""

    folder: Path
    status: int
    """Of the run that SIGTERM ended."""
    said: str
    """What it said last."""

    @property
    def checkpoint(self) -> Path:
        """What it kept."""
        return self.folder / "models" / ".training" / "plant" / "checkpoint.pt"


def lay_out(folder: Path) -> Path:
    """plant.csv, 400 rows of three sensors, and a quick run.toml."""
    folder.mkdir()
    lines = ["temperature,pressure,flow", *(",".join(f"{v:.6g}" for v in row) for row in plant_rows(400, 3)[:, :3])]
    (folder / "plant.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / "run.toml").write_text("steps = 800\nwidth = 8\ncomponents = 2\n", encoding="utf-8")
    return folder


def start_training(folder: Path, *more: str) -> subprocess.Popen[str]:
    """`nelbo-train` in a process of its own."""
    command = [sys.executable, "-m", "training", *ARGUMENTS, *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def start_fitting(folder: Path) -> subprocess.Popen[bytes]:
    """A fit without an export, in a process of its own that works in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", FIT], cwd=folder, env=environment)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Made once; tests work on copies."""
    folder = lay_out(tmp_path_factory.mktemp("faults") / "desk")
    shutil.copytree(EARLIER, folder / "models" / EARLIER.name)
    with start_training(folder) as cut:
        assert cut.stderr is not None
        for _ in range(5):
            cut.stderr.readline()
        cut.terminate()
        said = cut.stderr.read()
    return Desk(folder, cut.returncode, said)


def fill(folder: Path) -> None:
    """Take all the room there is on the file system of `folder`."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        block = bytes(4096)
        try:
            while True:
                filler.write(block)
        except OSError:
            pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def full_disk(desk: Desk, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The desk on a disk without room; the working directory."""
    folder = Path(shutil.copytree(desk.folder, small_disk / "desk"))
    fill(small_disk)
    monkeypatch.chdir(folder)
    return Desk(folder, desk.status, desk.said)


def contents(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder, but for who holds a lock."""
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != "lock"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ((), "checkpoint.pt: cannot be written: No space left on device; what was kept before is as it was"),
        pytest.param(
            ("--minutes", "0"),
            f"{FULL}; nothing was exported, and what was trained is kept",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["while a checkpoint is written", "while the bundle is written"],
)
def test_a_full_disk_costs_nothing_that_was_there(
    full_disk: Desk, more: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and exit code 1; the earlier checkpoint and bundle are as they were, and nothing half-written stays."""
    before = contents(full_disk.folder)

    assert main([*ARGUMENTS, "--resume", *more]) == 1

    last = capsys.readouterr().err.splitlines()[-1]
    assert expected in last
    assert "--resume" in last
    assert contents(full_disk.folder) == before
    assert bundle.read(full_disk.folder / "models" / EARLIER.name / "1").manifest.version == 1
    assert not list((full_disk.folder / "models").glob(".making-*"))


def test_scores_that_do_not_fit_leave_the_old_ones(
    full_disk: Desk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`nelbo score -o`: one line and exit code 1; the file that was there stays, and nothing beside it."""
    before = contents(full_disk.folder)
    manifest = bundle.read(EARLIER / "1").manifest
    means = ",".join(str(sensor.mean) for sensor in manifest.sensors)
    (tmp_path / "readings.csv").write_text("\n".join([",".join(manifest.sensor_names), *[means] * 2000]))

    assert nelbo(["score", str(tmp_path / "readings.csv"), "-o", "run.toml", "--workers", "1"]) == 1

    assert capfd.readouterr().err.splitlines()[-1] == f"nelbo: run.toml: {FULL}"
    assert contents(full_disk.folder) == before


def test_termination_ends_a_run_as_ctrl_c_does(desk: Desk) -> None:
    """SIGTERM: exit code 143, the checkpoint is told, and no bundle is written."""
    assert desk.status == TERMINATED
    assert f"interrupted; the best so far is kept in {desk.checkpoint.relative_to(desk.folder)}" in desk.said
    assert not (desk.folder / "models" / "plant").exists()


def test_a_second_run_is_told_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused at once, with the process and the start of the one that holds the model."""
    monkeypatch.chdir(lay_out(tmp_path / "desk"))

    for _ in range(2):  # what the first left in the lock is not in the way of the second
        with sole_run(Path("models/.training/plant")):
            assert main(ARGUMENTS) == 1
            assert f"another nelbo-train is writing this model: process {os.getpid()}, since 20" in (
                capsys.readouterr().err
            )


def test_a_place_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is fitted, in a line."""
    monkeypatch.chdir(lay_out(tmp_path / "desk"))

    assert main([*ARGUMENTS, "--out", "plant.csv"]) == 1

    expected = "nelbo-train: plant.csv/.training/plant: cannot be written: Not a directory\n"
    assert capsys.readouterr().err == expected


def test_a_run_that_is_begun_anew_says_what_goes(desk: Desk, tmp_path: Path) -> None:
    """Who forgot --resume can still stop it."""
    folder = Path(shutil.copytree(desk.folder, tmp_path / "desk"))
    command = [sys.executable, "-u", "-m", "training", *ARGUMENTS]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        assert run.stdout is not None
        told = [run.stdout.readline(), run.stdout.readline()]
        run.kill()

    file = desk.checkpoint.relative_to(desk.folder)
    assert told[1] == f"{file} is of a run that was cut short, and goes; --resume goes on with one\n"


def test_numbers_that_are_lost_are_not_kept(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss that is not finite: exit code 1, the step and the tensor, no bundle, and the checkpoint as it was."""
    monkeypatch.chdir(shutil.copytree(desk.folder, tmp_path / "desk"))
    file = Path("models/.training/plant/checkpoint.pt")
    kept = torch.load(file, weights_only=True)
    kept["state"]["vae"]["decode.offset"][1] = torch.nan
    torch.save(kept, file)
    before = file.read_bytes()

    assert main([*ARGUMENTS, "--resume"]) == 1

    said = capsys.readouterr().err
    assert f"at step {kept['state']['step']} of stage 'density', learning rate" in said
    assert "the first tensor that is not finite: parameter decode.offset; nothing was exported" in said
    assert f"The best before is kept in {file}" in said
    assert file.read_bytes() == before
    assert not Path("models/plant").exists()


def test_a_gradient_that_is_not_finite_changes_no_weight() -> None:
    """The step is not taken: what would be kept next is what was there before."""
    x = plant_rows(200, seed=3)
    sensors = describe(x, ("a", "b", "c", "d"), (None,) * 4)
    rows = standardise(x, sensors)
    descent = start(build(Config(width=8, components=2), sensors, rows), seed=0)
    descent.vae.decode.offset.register_hook(lambda gradient: gradient * torch.inf)
    before = {name: tensor.clone() for name, tensor in descent.vae.state_dict().items()}

    with pytest.raises(TrainingError, match=r"gradient inf long at step 0 .* gradient of decode\.offset"):
        descend(descent, density_stage(Config(), 3, None), rows, rows, lambda descent: None)

    assert all(torch.equal(tensor, before[name]) for name, tensor in descent.vae.state_dict().items())


def test_what_a_killed_export_left_is_cleared(tmp_path: Path) -> None:
    """Of this model, and of no other that may be under way."""
    for name in (".making-ab_1-plant", ".making-cd-other-plant", ".making-ef-plant-2", "plant"):
        (tmp_path / name).mkdir()

    clear(tmp_path, "plant")

    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {".making-cd-other-plant", ".making-ef-plant-2", "plant"}


@pytest.mark.slow
def test_a_fit_that_is_killed_again_and_again_comes_to_the_same_weights(tmp_path: Path) -> None:
    """kill -9 at random moments, each time gone on with: every weight has the bits of a fit that was left alone."""
    (tmp_path / "alone").mkdir()
    (tmp_path / "killed").mkdir()
    begun = time.monotonic()
    with start_fitting(tmp_path / "alone") as whole:
        whole.wait()
    assert whole.returncode == 0
    seconds, moments = time.monotonic() - begun, random.Random(20)

    for _ in range(KILLS):
        with start_fitting(tmp_path / "killed") as run:
            try:
                run.wait(moments.uniform(0.2, 1) * seconds)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
    with start_fitting(tmp_path / "killed") as last:
        last.wait()

    assert last.returncode == 0
    alone, killed = (torch.load(tmp_path / name / "weights.pt") for name in ("alone", "killed"))
    assert alone.keys() == killed.keys()
    assert all(torch.equal(killed[name], weight) for name, weight in alone.items())
