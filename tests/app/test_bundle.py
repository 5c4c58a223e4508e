"""Formats: what this nelbo reads, what it refuses, and what a report says."""

import json
import shutil
from pathlib import Path

import pytest

from app import bundle, report
from app.__main__ import main
from app.bundle import Bundle
from app.errors import BundleError
from app.inspection import describe
from app.model import open_model
from app.settings import Settings
from tests.conftest import as_format_2


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A copy of plant/1 that may be spoilt."""
    return Path(shutil.copytree(models / "plant" / "1", tmp_path / "plant" / "1"))


def reseal(folder: Path) -> None:
    """Hash what is in the folder now, whatever it is."""
    files = sorted(file for file in folder.iterdir() if file.name != bundle.SUMS)
    lines = [f"{bundle.sha256(file)}  {file.name}\n" for file in files]
    (folder / bundle.SUMS).write_text("".join(lines), encoding="ascii")


def test_the_format_before_is_read(plant: Bundle, tmp_path: Path) -> None:
    """A bundle of format 2 opens, and inspecting it shows which it is."""
    model = open_model(as_format_2(plant, tmp_path), Settings(device="cpu"))

    assert model.manifest.format == 2
    assert describe(model).startswith("plant@1, format 2\n")


def test_the_format_written_is_the_newest(folder: Path) -> None:
    """What is exported is of the highest format that is read, with a report."""
    assert bundle.read(folder).manifest.format == bundle.FORMAT == max(bundle.READ)
    assert (folder / bundle.REPORT).is_file()


@pytest.mark.parametrize("number", [0, 1, 4, 12])
def test_another_format_is_refused_naming_what_is_read(folder: Path, number: int) -> None:
    """Both the bundle's number and this nelbo's are told."""
    manifest = json.loads((folder / bundle.MANIFEST).read_text(encoding="utf-8"))
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest | {"format": number}), encoding="utf-8")
    reseal(folder)

    with pytest.raises(BundleError, match=f"format {number}; this nelbo reads formats 2 and 3"):
        bundle.read(folder)


def test_what_is_beside_the_list_is_refused(folder: Path) -> None:
    """As is a folder that is none."""
    (folder / "extra.bin").touch()

    with pytest.raises(BundleError, match=r"extra.bin: not listed in SHA256SUMS$"):
        bundle.read(folder)
    with pytest.raises(BundleError, match=r"there is no such folder"):
        bundle.read(folder / "nothing")


def test_a_file_that_is_not_of_the_format_is_refused(folder: Path) -> None:
    """A listed file that no format knows is named."""
    (folder / "extra.bin").touch()
    reseal(folder)

    with pytest.raises(BundleError, match=r"extra.bin: missing, or not part of format 3"):
        bundle.read(folder)


@pytest.mark.parametrize("name", [bundle.MANIFEST, bundle.REPORT, bundle.SCORE])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    """Whether or not it is listed, it is named."""
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: missing$"):
        bundle.read(folder)

    reseal(folder)
    with pytest.raises(BundleError, match=f"{name}: missing"):
        bundle.read(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"sensors": 3}', '{"unknown": 1}'])
def test_inspect_refuses_a_report_that_does_not_read(
    folder: Path, capfd: pytest.CaptureFixture[str], text: str
) -> None:
    """It is sealed, so the model may be served, but what it says cannot be shown."""
    (folder / bundle.REPORT).write_text(text, encoding="utf-8")
    reseal(folder)

    assert main(["inspect", str(folder), "--device", "cpu"]) == 1
    assert "report.json: " in capfd.readouterr().err


def test_inspect_shows_the_report(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Verdicts, difficult sensors, odd rows, latents and bands, each under its heading."""
    threshold = report.Threshold(rows=999, false_alarm_rate=0.01, nats=12.5)
    row = report.Suspect(row=41, line=42, part="calibration", excess=33.0, score=40.0, sensor="flow", nats=31.0)
    report.write(
        report.Report(
            sensors=(
                report.DifficultSensor(name="valve", kind="constant", measure=0.0, found="always 3", done="left out"),
            ),
            suspects=report.Suspects(
                rows=(row,),
                threshold=threshold,
                threshold_without=threshold.model_copy(update={"rows": 998, "nats": 11.25}),
            ),
            latents=report.Latents(rows=9, active=1, variance=(0.9, 0.0), kl=(1.25, 0.0)),
            fits=(report.SensorFit(name="flow", floor=0.005, at_floor=0.25, readings=500, coverage=(0.5, 0.9, 0.985)),),
            verdicts=(report.Verdict(about="rows", good=False, text="look at line 42"),),
        ),
        folder,
    )
    reseal(folder)

    assert main(["inspect", str(folder), "--device", "cpu"]) == 0

    shown = capfd.readouterr().out
    assert "LOOK  rows     look at line 42" in shown
    assert "valve, constant: always 3; left out" in shown
    assert "41   42    calibration  33      40     flow" in shown
    assert "the threshold is 12.5 nats, and would be 11.25 without these" in shown
    assert "nats each     1.25 0" in shown
    assert "flow  0.005        25.0%  50.0%     90.0%     98.5%     500" in shown
