import logging
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from app import bundle
from app.errors import SettingsError, UnknownResource
from app.folder import Address, look
from app.main import create_app
from app.manifest import Manifest
from app.repository import Repository, open_repository, settled
from app.settings import Settings
from app.stock import EMPTY, restock
from tests.nobody import as_nobody


def put(models: Path, root: Path, name: str, version: int) -> Path:
    """Put plant/1 into another repository, under another name."""
    folder = root / name / str(version)
    shutil.copytree(models / "plant" / "1", folder)
    manifest = bundle.read(models / "plant" / "1").manifest
    bundle.seal(folder, manifest.model_copy(update={"name": name, "version": version}))
    return folder


def opened(root: Path, model: str | None = None) -> Repository:
    return open_repository(Settings(models=root, model=model, device="cpu"))


def test_every_version_is_opened_and_the_highest_answers(models: Path) -> None:
    """A model without a version is its highest; each version can be had by its number."""
    repository = opened(models)

    assert list(repository.models["plant"]) == [2, 1]
    assert str(repository.get("plant")) == "plant@2"
    assert str(repository.get("plant", 1)) == "plant@1"
    assert repository.default is repository.get("plant", 2)


def test_versions_are_numbers_not_text(models: Path, tmp_path: Path) -> None:
    """Version 10 is higher than version 9."""
    put(models, tmp_path, "plant", 9)
    put(models, tmp_path, "plant", 10)

    assert opened(tmp_path).default.manifest.version == 10


@pytest.mark.parametrize("name", ["pump", "", "..", "../plant", "plant/1", "PLANT"])
def test_an_unknown_name_is_not_found(models: Path, name: str) -> None:
    """Names are looked up, never made into a path."""
    with pytest.raises(UnknownResource) as caught:
        opened(models).get(name)

    assert caught.value.code == "model-not-found"


def test_an_unknown_version_is_not_found(models: Path) -> None:
    """A version that is not served is told apart from a model that is not."""
    with pytest.raises(UnknownResource) as caught:
        opened(models).get("plant", 3)

    assert caught.value.code == "version-not-found"


@pytest.mark.parametrize(("model", "served"), [("plant", "plant@2"), ("plant@1", "plant@1"), ("pump", "pump@1")])
def test_the_setting_chooses_the_default(models: Path, tmp_path: Path, model: str, served: str) -> None:
    """By name its highest version, by name and version exactly that."""
    put(models, tmp_path, "plant", 1)
    put(models, tmp_path, "plant", 2)
    put(models, tmp_path, "pump", 1)

    assert str(opened(tmp_path, model).default) == served


def test_two_models_need_a_choice(models: Path, tmp_path: Path) -> None:
    """Without one the start fails, with a list to choose from."""
    put(models, tmp_path, "plant", 1)
    put(models, tmp_path, "pump", 4)

    with pytest.raises(SettingsError, match=r"NELBO_MODEL, or --model, must say .*: plant@1, pump@4$"):
        opened(tmp_path)


def test_workers_that_start_later_keep_the_default(models: Path, tmp_path: Path) -> None:
    """The only model there is, is named before they start; a second one is then no reason not to."""
    put(models, tmp_path, "plant", 1)
    settings = settled(Settings(models=tmp_path, device="cpu"))
    put(models, tmp_path, "pump", 4)

    assert str(open_repository(settings).default) == "plant@1"
    assert settled(Settings(models=tmp_path)).model is None


@pytest.mark.parametrize("model", ["pump", "plant@3"])
def test_a_default_that_is_not_there_is_refused(models: Path, model: str) -> None:
    """The error lists what there is."""
    with pytest.raises(SettingsError, match=r"NELBO_MODEL: .* there are: plant@2, plant@1$"):
        opened(models, model)


def test_a_bundle_that_does_not_verify_is_left_out(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One flipped bit: the version below is served, and the log says why."""
    put(models, tmp_path, "plant", 1)
    graph = put(models, tmp_path, "plant", 2) / bundle.SCORE
    damaged = bytearray(graph.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    graph.write_bytes(damaged)

    assert list(opened(tmp_path).models["plant"]) == [1]
    assert "refused plant/2" in caplog.text
    assert "SHA-256" in caplog.text


def test_a_sealed_file_of_the_wrong_content_is_refused_too(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Hashes that fit do not make an archive of what is none."""
    put(models, tmp_path, "plant", 1)
    folder = put(models, tmp_path, "plant", 2)
    (folder / bundle.CALIBRATION).write_bytes(b"not an archive")
    bundle.seal(folder, Manifest.model_validate_json((folder / bundle.MANIFEST).read_bytes()))

    assert list(opened(tmp_path).models["plant"]) == [1]
    assert "refused plant/2" in caplog.text


def test_what_may_not_be_read_is_refused_and_the_rest_is_served(models: Path) -> None:
    """A model's folder whose entries can be listed and not entered: its version is there, and /models says why not."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        root = Path(name)
        root.chmod(0o755)
        put(models, root, "plant", 1)
        put(models, root, "pump", 1)
        (root / "pump").chmod(0o444)
        with as_nobody():
            stock = restock(EMPTY, look(root), Settings(models=root, device="cpu"))
        (root / "pump").chmod(0o755)

    assert list(stock.models) == [Address("plant", 1)]
    assert {str(at): told.reason for at, told in stock.refused.items()} == {
        "pump/1": "it cannot be read (PermissionError)"
    }


def test_what_is_taken_away_while_it_is_looked_at_is_nobodys_fault(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was seen in the folder and is gone when it is to be opened: that is a roll-back, and no bundle to refuse."""
    put(models, tmp_path, "plant", 1)
    gone = put(models, tmp_path, "plant", 2)
    seen = look(tmp_path)
    shutil.rmtree(gone)

    stock = restock(EMPTY, seen, Settings(models=tmp_path, device="cpu"))

    assert list(stock.models) == [Address("plant", 1)]
    assert not stock.refused
    assert "refused" not in caplog.text


def test_other_entries_are_ignored(models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Dot-folders and plain files pass in silence; a folder whose name cannot be a model's or version's is told."""
    put(models, tmp_path, "plant", 1)
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "plant" / "notes.txt").write_text("about")
    for folder in (".git", "plant/.writing-2", "No Model", "plant/v2", "plant/01"):
        (tmp_path / folder).mkdir()

    assert list(opened(tmp_path).models["plant"]) == [1]
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [name for name in ("No Model", "01", "v2") if any(name in text for text in told)] == ["No Model", "01", "v2"]
    assert len(told) == 3


def test_a_pin_holds_wherever_no_version_is_named(models: Path) -> None:
    """Whoever rolls back so is not to leave those who name the model at the version that was taken back."""
    with TestClient(create_app(Settings(models=models, model="plant@1", device="cpu"))) as client:
        rows = {"rows": [[20, 1013, 5, 3]]}
        answers = [client.post(path, json=rows).json() for path in ("/score", "/models/plant/score")]
        inputs = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP64", "data": rows["rows"]}]}
        inferred = client.post("/v2/models/plant/infer", json=inputs).json()
        (summary,), model = client.get("/models").json()["models"], client.get("/models/plant").json()

    assert [answer["version"] for answer in answers] == [1, 1]
    assert inferred["model_version"] == "1"
    assert (summary["version"], summary["versions"], summary["default"]) == (1, [1, 2], True)
    assert (model["version"], model["default"]) == (1, True)


def test_nothing_to_serve_is_an_error(tmp_path: Path) -> None:
    """An empty repository and one that is not there are told apart."""
    with pytest.raises(SettingsError, match="NELBO_MODELS: nothing in"):
        opened(tmp_path)
    with pytest.raises(SettingsError, match="NELBO_MODELS: there is no folder"):
        opened(tmp_path / "models")


def test_the_log_tells_what_is_served_where(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every version, its device, and which one is the default."""
    caplog.set_level(logging.INFO)
    opened(models)

    assert "serving plant@2 (default) on cpu" in caplog.text
    assert "serving plant@1 on cpu" in caplog.text


def test_a_model_answers(models: Path) -> None:
    """What is opened can be asked."""
    model = opened(models).default
    x = np.array([[20.0, 1013.0, 5.0, 3.0]])
    verdict = model.calibration.judge(x, model.engine.score(x).score, 0.01)

    assert verdict.alarm.tolist() == [False]
