"""The field's stock clients, unchanged, over a real socket: Triton's, both of them, and KServe's."""

import asyncio
import contextlib
import itertools
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio
import uvicorn
from tritonclient.utils import InferenceServerException

from app.array import Array
from app.bundle import Bundle
from app.engine import Engine
from app.main import create_app
from app.settings import Settings
from tests.conftest import PLANT_NAMES, plant_rows

ROOT = Path(__file__).parents[1]
KSERVE = ROOT / ".venv-kserve" / "bin" / "python"
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = plant_rows(200, seed=9)
ROWS[3, 1] = np.nan
CODINGS = (None, "gzip", "deflate")
FORMATS = list(itertools.product([True, False], [True, False], CODINGS, CODINGS))

Infer = Callable[..., Any]


@contextlib.contextmanager
def serving(models: Path) -> Iterator[str]:
    """The host and port where a repository is served."""
    config = uvicorn.Config(create_app(Settings(models=models, device="cpu")), port=0, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(models: Path) -> Iterator[str]:
    with serving(models) as address:
        yield address


@pytest.fixture(scope="module")
def triton(address: str) -> Iterator[tritonclient.http.InferenceServerClient]:
    with contextlib.closing(tritonclient.http.InferenceServerClient(address)) as client:
        yield client


@pytest.fixture(scope="module")
def expected(plant: Bundle) -> Array:
    """The scores of the rows, by the engine itself."""
    return Engine(plant).score(ROWS).score


@pytest.fixture(scope="module")
def infer(address: str, triton: tritonclient.http.InferenceServerClient) -> dict[str, Infer]:
    """What asks for an inference, by the client's name."""

    def ask_aio(*given: object, **named: object) -> Any:  # noqa: ANN401 - the client is not typed
        async def ask() -> object:
            async with tritonclient.http.aio.InferenceServerClient(address) as client:
                return await client.infer(*given, **named)

        return asyncio.run(ask())

    return {"sync": triton.infer, "aio": ask_aio}


def tensor(name: str, x: Array, binary: bool = True, datatype: str = "FP64") -> tritonclient.http.InferInput:
    return tritonclient.http.InferInput(name, x.shape, datatype).set_data_from_numpy(x, binary)


@pytest.mark.parametrize("client", ["sync", "aio"])
@pytest.mark.parametrize(("asked", "answered", "request_coding", "response_coding"), FORMATS, ids=str)
def test_tritons_clients_get_the_scores(
    infer: dict[str, Infer],
    expected: Array,
    client: str,
    asked: bool,
    answered: bool,
    request_coding: str | None,
    response_coding: str | None,
) -> None:
    """To the bit; rows and outputs raw or as JSON, either way compressed by gzip, by deflate or not at all."""
    answer = infer[client](
        "plant",
        [tensor("x", ROWS, asked)],
        outputs=[tritonclient.http.InferRequestedOutput(name, answered) for name in ("per_sensor", "score", "alarm")],
        request_id="7",
        request_compression_algorithm=request_coding,
        response_compression_algorithm=response_coding,
    )

    np.testing.assert_array_equal(answer.as_numpy("score"), expected)
    assert answer.as_numpy("per_sensor").shape == ROWS.shape
    assert answer.as_numpy("alarm").dtype == np.bool_
    assert answer.get_response()["id"] == "7"
    assert ("parameters" in answer.get_output("score")) == answered


@pytest.mark.parametrize("client", ["sync", "aio"])
def test_tritons_clients_get_everything_by_default(infer: dict[str, Infer], client: str) -> None:
    """No outputs asked for, none left out; as FP32, of a version, with parameters that others understand."""
    rows = ROWS[:2].astype(np.float32)
    answer = infer[client](
        "plant", [tensor("x", rows, datatype="FP32")], model_version="1", priority=1, timeout=5_000_000, sequence_id=3
    )

    assert answer.get_response()["model_version"] == "1"
    for name in ("score", "kl", "per_sensor", "p_value", "alarm", "latent_mean", "latent_scale", "expected_mean"):
        assert len(answer.as_numpy(name)) == 2, name


@pytest.mark.parametrize("client", ["sync", "aio"])
@pytest.mark.parametrize("binary", [True, False])
def test_tritons_clients_send_sensors_one_by_one(
    infer: dict[str, Infer], expected: Array, client: str, binary: bool
) -> None:
    """Each an input of its own, in any order."""
    columns = [tensor(name, ROWS[:3, index].copy(), binary) for index, name in enumerate(PLANT_NAMES)]
    outputs = [tritonclient.http.InferRequestedOutput("score")]

    np.testing.assert_array_equal(
        infer[client]("plant", columns[::-1], outputs=outputs).as_numpy("score"), expected[:3]
    )


@pytest.mark.parametrize("client", ["sync", "aio"])
def test_tritons_clients_tell_what_is_wrong(infer: dict[str, Infer], client: str) -> None:
    """Our text and status, in their exception."""
    for name, rows, told in (("plant", ROWS[:, :3].copy(), "[400] inputs[0]: "), ("pump", ROWS, "[404] No model")):
        with pytest.raises(InferenceServerException, match="^" + re.escape(told)):
            infer[client](name, [tensor("x", rows)])


def test_tritons_client_sees_the_service_and_its_models(triton: tritonclient.http.InferenceServerClient) -> None:
    """Health, metadata, the index and statistics; another thing that it may ask for is an error that it understands."""
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("plant", "1")
    assert not triton.is_model_ready("pump")
    assert triton.get_server_metadata()["name"] == "nelbo"
    assert triton.get_model_metadata("plant", "2")["inputs"] == [{"name": "x", "datatype": "FP64", "shape": [-1, 4]}]
    assert [entry["version"] for entry in triton.get_model_repository_index()] == ["1", "2"]
    before = triton.get_inference_statistics("plant", "1")["model_stats"][0]["inference_count"]
    triton.async_infer("plant", [tensor("x", ROWS[:2])], model_version="1").get_result()
    assert triton.get_inference_statistics("plant", "1")["model_stats"][0]["inference_count"] == before + 2
    with pytest.raises(InferenceServerException, match="404"):
        triton.get_model_config("plant")
    for ask in (triton.load_model, triton.unload_model):
        with pytest.raises(InferenceServerException, match="NELBO_MODELS"):
            ask("plant")


def test_tritons_aio_client_sees_the_service_and_its_models(address: str) -> None:
    """The same."""

    async def look() -> None:
        async with tritonclient.http.aio.InferenceServerClient(address) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready("plant")
            assert not await client.is_model_ready("plant", "3")
            assert (await client.get_server_metadata())["name"] == "nelbo"
            assert (await client.get_model_metadata("plant"))["versions"] == ["1", "2"]
            assert len(await client.get_model_repository_index()) == 2
            assert len((await client.get_inference_statistics())["model_stats"]) == 2
            with pytest.raises(InferenceServerException, match="NELBO_MODELS"):
                await client.load_model("plant")

    asyncio.run(look())


def test_kserves_client_gets_the_scores(address: str, expected: Array) -> None:
    """Raw and as JSON, to the bit; health, readiness and our text in its exception."""
    if not KSERVE.exists():
        pytest.skip("needs .venv-kserve, which `make test` makes: KServe's client pins old dependencies")
    asked = json.dumps({"address": f"http://{address}", "rows": ROWS[:3].tolist()})
    done = subprocess.run(
        [KSERVE, ROOT / "tests" / "kserve_asks.py"], input=asked, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert told["live"] is told["ready"] is told["model_ready"] is True
    assert told["no_model_ready"] is False
    assert told["binary"] == told["json"] == expected[:3].tolist()
    assert "inputs[0]: expected the shape [n, 4]" in told["refused"]


def test_the_readmes_programs_print_what_is_shown() -> None:
    """Triton's client and FastAPI's TestClient, as they stand there, one beside a service and one without."""
    programs = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, flags=re.DOTALL)
    with serving(ROOT / "models") as address:
        for program, shown in programs:
            command = [sys.executable, "-c", program.replace("127.0.0.1:8000", address)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
            assert (done.stdout, done.stderr) == (shown, "")

    assert len(programs) == 2
