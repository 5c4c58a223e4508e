"""Loading and unloading over HTTP: off by default, for administrators where it is on."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.errors import SettingsError
from app.keys import new_key
from app.main import create_app
from app.settings import Settings
from tests.app.test_shelf import put, spoil

LOAD, UNLOAD = "/v2/repository/models/pump/load", "/v2/repository/models/pump/unload"
INDEX = "/v2/repository/index"


INFER, INFER_KEY = new_key("historian", "infer")
ADMIN, ADMIN_KEY = new_key("deployer", "infer,admin")
KEYS = f"{INFER_KEY.line()};{ADMIN_KEY.line()}"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def root(models: Path, tmp_path: Path) -> Path:
    """A repository with plant/1 and pump/1."""
    put(models, tmp_path, "plant", 1)
    put(models, tmp_path, "pump", 1)
    return tmp_path


@pytest.fixture
def administrator(root: Path) -> Iterator[TestClient]:
    settings = Settings(models=root, model="plant", device="cpu", v2_control=True, watch_seconds=0, keys=KEYS)
    with TestClient(create_app(settings), headers=bearer(ADMIN)) as client:
        yield client


def index(client: TestClient) -> list[tuple[str, str, str, str]]:
    entries = client.post(INDEX).json()
    return [(entry["name"], entry["version"], entry["state"], entry["reason"]) for entry in entries]


def test_a_model_is_unloaded_and_loaded(administrator: TestClient) -> None:
    """Status 200 with nothing to say, as Triton's client expects; the index tells both."""
    unloaded = administrator.post(UNLOAD, json={"parameters": {"unload_dependents": False}})

    assert (unloaded.status_code, unloaded.content) == (200, b"")
    assert administrator.get("/v2/models/pump/ready").status_code == 404
    assert index(administrator) == [
        ("plant", "1", "READY", ""),
        ("pump", "1", "UNAVAILABLE", "it was unloaded"),
    ]
    assert administrator.post(INDEX, json={"ready": True}).json() == [
        {"name": "plant", "version": "1", "state": "READY", "reason": ""}
    ]
    assert administrator.post(LOAD).status_code == 200
    assert administrator.get("/v2/models/pump/ready").json() == {"name": "pump", "ready": True}


def test_the_log_tells_who_changed_what_is_served(administrator: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """By the key's name, and only what was done."""
    caplog.set_level(logging.INFO)
    administrator.post(UNLOAD)
    administrator.post(LOAD)
    administrator.post("/v2/repository/models/none/load")

    told = [record.getMessage() for record in caplog.records if record.name == "nelbo.control"]
    assert told == ["pump was unloaded by the key deployer", "pump was loaded by the key deployer"]


def test_loading_looks_at_the_folder_now(administrator: TestClient, models: Path, root: Path) -> None:
    """What is new there is served at once, also where nobody looks by the clock."""
    put(models, root, "pump", 2)
    assert administrator.get("/models/pump").json()["version"] == 1
    assert administrator.post(LOAD, json={}).status_code == 200
    assert administrator.get("/models/pump").json()["version"] == 2


def test_what_cannot_be_loaded_is_told_without_a_path(administrator: TestClient, root: Path) -> None:
    """Why, and for which version; no folder of this machine."""
    shutil.move(root / "pump" / "1", root / "pump" / "2")
    shutil.copytree(root / "plant" / "1", root / "well" / "1")

    spoil(root / "well" / "1")
    response = administrator.post("/v2/repository/models/well/load")

    assert response.status_code == 404
    assert "version 1: score.onnx: SHA-256 is" in response.json()["error"]
    assert str(root) not in response.text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/repository/models/plant/unload", b"", 400),
        ("/v2/repository/models/none/unload", b"", 404),
        ("/v2/repository/models/..%2Fplant/load", b"", 404),
        (LOAD, b'{"parameters": {"config": "{}"}}', 400),
        (LOAD, b'{"parameters": {"file:1/model.onnx": "AAAA"}}', 400),
        (LOAD, b'{"parameters": {}, "parameters": {}}', 400),
        (LOAD, b" " * 2**16 + b"{}", 413),
        (LOAD, b"[]", 400),
        (LOAD, b"{", 400),
    ],
)
def test_what_is_not_to_be_done_is_refused(administrator: TestClient, path: str, body: bytes, status: int) -> None:
    """The root keeps its model, and nothing comes in by a request."""
    response = administrator.post(path, content=body)

    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert administrator.get("/models").json()["refused"] == []


@pytest.mark.parametrize(
    ("enabled", "keys", "secret", "status"),
    [(False, KEYS, ADMIN, 503), (True, KEYS, INFER, 403), (True, KEYS, "none", 401), (True, None, ADMIN, 503)],
    ids=["not enabled", "not an administrator", "unknown", "no keys"],
)
def test_nobody_may_who_is_no_administrator(
    root: Path, enabled: bool, keys: str | None, secret: str, status: int
) -> None:
    """Nor do they where it is not enabled, or where no keys are set at all."""
    settings = Settings(models=root, model="plant", device="cpu", v2_control=enabled, watch_seconds=0, keys=keys)
    with TestClient(create_app(settings), headers=bearer(secret)) as client:
        assert [client.post(path).status_code for path in (LOAD, UNLOAD)] == [status, status]
        assert client.get("/v2/models/pump/ready", headers=bearer(INFER)).status_code == 200


def test_control_takes_a_single_worker() -> None:
    """What is loaded in one process is not in another."""
    with pytest.raises(SettingsError, match=r"NELBO_V2_CONTROL: .* expected NELBO_WORKERS to be 1, found 2"):
        Settings(v2_control=True, workers=2)
