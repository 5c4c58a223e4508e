"""What becomes of a service whose graphs cease to compute, as a GPU's may: it says so, and is started anew."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper

from app import bundle
from app.main import create_app
from app.settings import Settings
from tests.app.test_shelf import put

PROBES = ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready", "/v2/models/plant/ready")
ROW = [20.0, 1013.0, 5.0, 3.0]

Serve = Callable[[float], AbstractContextManager[TestClient]]
"""A service whose only model cannot score rows of a temperature."""


def make_fail(folder: Path, temperature: float) -> None:
    """Have onnxruntime take the second of one value where a row has this temperature."""
    manifest = bundle.read(folder).manifest
    graph = onnx.load(folder / bundle.SCORE)
    values = {"first": np.array(0), "worst": np.array(temperature), "nothing": np.array([0.0])}
    graph.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in values.items())
    (last,) = (node for node in graph.graph.node if "score" in node.output)
    last.output[[*last.output].index("score")] = "score_before"
    graph.graph.node.extend(
        [
            helper.make_node("Gather", ["x", "first"], ["temperature"], axis=1),
            helper.make_node("Equal", ["temperature", "worst"], ["is_worst"]),
            helper.make_node("Cast", ["is_worst"], ["place"], to=TensorProto.INT64),
            helper.make_node("Gather", ["nothing", "place"], ["none"]),
            helper.make_node("Add", ["score_before", "none"], ["score"]),
        ]
    )
    (folder / bundle.SCORE).write_bytes(graph.SerializeToString())
    bundle.seal(folder, manifest)


@pytest.fixture
def failing(models: Path, tmp_path: Path) -> Serve:
    @contextmanager
    def serve(temperature: float) -> Iterator[TestClient]:
        make_fail(put(models, tmp_path, "plant", 1), temperature)
        with TestClient(create_app(Settings(models=tmp_path, device="cpu"))) as client:
            yield client

    return serve


def statuses(client: TestClient) -> set[int]:
    return {client.get(path).status_code for path in PROBES}


def test_a_question_that_is_too_much_for_a_graph_is_one_question(failing: Serve) -> None:
    """It is our fault, and the next one is answered: who asks whether the service is ready finds that out."""
    with failing(1e6) as client:
        assert client.post("/score", json={"rows": [[1e6, *ROW[1:]]]}).status_code == 500
        assert statuses(client) == {200}
        assert client.post("/score", json={"rows": [ROW]}).status_code == 200


def test_a_model_that_cannot_compute_any_more_is_told(
    models: Path, failing: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a run has failed, by a row that is like any other; before that nobody looks."""
    mean = bundle.read(models / "plant" / "1").manifest.sensors[0].mean
    with failing(mean) as client:
        assert statuses(client) == {200}
        assert client.post("/score", json={"rows": [[mean, *ROW[1:]]]}).status_code == 500

        assert statuses(client) == {503}
        told = client.get("/health/ready").json()
        assert told["code"] == "cannot-compute"
        assert told["detail"] == "plant@1 cannot compute any more; the service's log says why."
        assert "plant@1 cannot compute" in caplog.messages
        assert 'nelbo_refusals_total{reason="cannot-compute"} 6.0' in client.get("/metrics").text
        assert client.post("/score", json={"rows": [ROW]}).status_code == 200
