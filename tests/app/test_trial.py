"""A bundle that brings its process down, or holds it up, is refused by a service that lives on."""

import json
import sys
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app import bundle, trial
from app.errors import SettingsError
from app.folder import Address, look
from app.metrics import Metrics
from app.repository import open_repository
from app.settings import Settings
from app.shelf import Shelf
from app.stock import EMPTY
from app.trial import tried
from tests.app.test_main import port_of, start
from tests.app.test_shelf import on, put

DEADLY = "a process that opens it is ended by SIGFPE"


@pytest.fixture
def root(models: Path, tmp_path: Path) -> Path:
    """A repository with plant/1."""
    folder = tmp_path / "models"
    folder.mkdir()
    put(models, folder, "plant", 1)
    return folder


def make_deadly(folder: Path) -> None:
    """Have onnxruntime divide the least integer by -1, whose quotient is none of that type: the processor objects."""
    manifest = bundle.read(folder).manifest
    graph = onnx.load(folder / bundle.ENCODE)
    whole, minus, kept = (np.array([number], dtype=np.int64) for number in (-(2**63), -1, 0))
    graph.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in (("whole", whole), ("minus", minus), ("kept", kept))
    )
    (last,) = (node for node in graph.graph.node if "mean" in node.output)
    last.output[[*last.output].index("mean")] = "mean_before"
    graph.graph.node.extend(
        [
            helper.make_node("Div", ["whole", "minus"], ["quotient"]),
            helper.make_node("Mul", ["quotient", "kept"], ["nothing"]),
            helper.make_node("Cast", ["nothing"], ["none"], to=TensorProto.DOUBLE),
            helper.make_node("Add", ["mean_before", "none"], ["mean"]),
        ]
    )
    (folder / bundle.ENCODE).write_bytes(graph.SerializeToString())
    bundle.seal(folder, manifest)


def test_a_running_service_outlives_a_deadly_bundle(models: Path, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What hashes, limits and a signature allow is tried where nobody is served; and what is harmless is known."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        make_deadly(put(models, root, "plant", 2))
        put(models, root, "plant", 3)
        await shelf.look()

        assert list(shelf.repository.models["plant"]) == [3, 1]
        (why,) = shelf.repository.stock.refused.values()
        assert why.reason == DEADLY
        assert f"refused plant/2: {root / 'plant' / '2'}: {DEADLY}" in caplog.messages
        assert 'nelbo_bundle_loads_total{result="refused"} 1.0' in metrics.exposition().decode()
        digests = {model.bundle.digest for model in shelf.repository.stock.models.values()}
        assert shelf.repository.stock.harmless == digests

    on(root, do)


def test_what_becomes_deadly_in_its_place_is_served_as_it_was(models: Path, root: Path) -> None:
    """Like whatever does not verify."""

    async def do(shelf: Shelf, metrics: Metrics) -> None:
        before = shelf.repository.default
        make_deadly(root / "plant" / "1")
        await shelf.look()

        assert shelf.repository.default is before
        assert shelf.repository.stock.refused[Address("plant", 1)].reason == DEADLY

    on(root, do)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_starts_beside_a_deadly_bundle(models: Path, root: Path, tmp_path: Path, workers: int) -> None:
    """Each of its processes serves the others, and says why not this one."""
    make_deadly(put(models, root, "plant", 2))
    log = tmp_path / "log"
    process = start(root, log, NELBO_WORKERS=str(workers))
    try:
        connection = HTTPConnection("127.0.0.1", port_of(process, log), timeout=30)
        connection.request("GET", "/models")
        told = json.loads(connection.getresponse().read())
        connection.close()
    finally:
        process.terminate()
        assert process.wait(30) == 0

    assert [(model["name"], model["version"]) for model in told["models"]] == [("plant", 1)]
    assert [refused["reason"] for refused in told["refused"]] == [DEADLY]


def test_what_is_known_is_not_tried_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that rolling back to it takes no longer than opening it."""
    settings = Settings(models=root, device="cpu")
    stock = open_repository(settings).stock
    monkeypatch.setattr(trial, "MOST_SECONDS", 0)

    assert not tried(EMPTY.after_trial(look(root), {}, stock.harmless), look(root), settings).refused
    (why,) = tried(EMPTY, look(root), settings).refused.values()
    assert why.reason == "a process that opens it is not done after 0 seconds"


def test_where_no_process_can_be_started_that_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault of the bundle's."""
    monkeypatch.setattr(sys, "executable", str(root / "nothing"))

    with pytest.raises(SettingsError, match=r"nothing: no bundle can be tried, for it does not start: No such file"):
        tried(EMPTY, look(root), Settings(models=root, device="cpu"))


def test_nothing_of_the_working_directory_is_taken_for_the_service(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder app is a common one."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    settings = Settings(models=root, device="cpu")

    assert tried(EMPTY, look(root), settings).harmless == open_repository(settings).stock.harmless
