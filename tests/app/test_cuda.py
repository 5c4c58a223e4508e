"""CUDA, where there is a GPU: the same promises as on the CPU."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from fastapi.testclient import TestClient

from app.array import Array
from app.main import create_app
from app.model import Model, open_model
from app.settings import Settings

MODELS = Path(__file__).parents[2] / "models"

pytestmark = pytest.mark.skipif(
    "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="this onnxruntime is built without CUDA",
)


@pytest.fixture(scope="module")
def on_cuda() -> Model:
    """The bundled model, proved by its probe on the GPU."""
    return open_model(MODELS / "gas-turbine" / "1", Settings(device="cuda"))


@pytest.fixture(scope="module")
def rows(on_cuda: Model) -> Array:
    """Rows that the model samples, some of them far out, some with missing sensors."""
    generator = np.random.default_rng(0)
    x = on_cuda.engine.sample(generator.standard_normal((3000, on_cuda.manifest.noise_size)))
    x[::9] *= 100
    x[generator.random(x.shape) < 0.02] = np.nan
    return x


def test_cuda_answers_as_the_cpu_does(on_cuda: Model, rows: Array) -> None:
    """Scores, parts of them and what sensors should have read differ by far less than a bundle's proof allows."""
    on_cpu = open_model(MODELS / "gas-turbine" / "1", Settings(device="cpu"))
    scale = np.array([sensor.scale for sensor in on_cuda.manifest.sensors])

    found, wanted = on_cuda.judge(rows[:500]), on_cpu.judge(rows[:500])
    expected, reconstructed = on_cpu.engine.reconstruct(rows[:100]), on_cuda.engine.reconstruct(rows[:100])

    assert on_cuda.engine.device == "cuda"
    np.testing.assert_allclose(found.score, wanted.score, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found.per_sensor.sum(axis=1) + found.kl, found.score, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(reconstructed.mean / scale, expected.mean / scale, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("start", "count"), [(0, 1), (7, 2), (5, 64), (100, 129), (1000, 1025), (1, 2500)])
def test_a_row_is_answered_alike_in_every_batch_on_cuda(on_cuda: Model, rows: Array, start: int, count: int) -> None:
    """Where no sensor is missing to the last bit; else to the few of cuBLAS, whose kernels depend on the patterns."""
    part = slice(start, start + count)
    generator = np.random.default_rng(1)
    noise = generator.standard_normal((len(rows), on_cuda.manifest.noise_size))
    draws = np.column_stack([generator.random(6), generator.standard_normal((6, on_cuda.manifest.latent_size))])
    complete = ~np.isnan(rows[part]).any(axis=1)

    everywhere = on_cuda.engine.answers(rows, noise, draws)
    here = on_cuda.engine.answers(rows[part], noise[part], draws)

    for name, found in vars(here).items():
        wanted = getattr(everywhere, name)[part]
        np.testing.assert_array_equal(found[complete], wanted[complete], name)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9, err_msg=name)


def test_threads_get_the_same_bits_from_one_gpu(on_cuda: Model, rows: Array) -> None:
    """Eight threads that score at once disturb nobody."""
    alone = on_cuda.judge(rows).score

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda _: on_cuda.judge(rows).score, range(64)))

    for scores in together:
        np.testing.assert_array_equal(scores, alone)


def test_no_row_is_asked_about(on_cuda: Model) -> None:
    """No rows have no scores."""
    assert on_cuda.engine.score(np.empty((0, len(on_cuda.manifest.sensors)))).score.shape == (0,)


def test_a_service_on_the_gpu_tells_so_and_answers() -> None:
    """The device is told with the model, and every verb answers."""
    with TestClient(create_app(Settings(models=MODELS, device="cuda"))) as client:
        told = client.get("/models/gas-turbine").json()
        row = [sensor["mean"] for sensor in told["sensors"]]
        answers = [
            client.post("/score", json={"rows": [row], "explain": True, "bound": {"draws": 64, "seed": 1}}),
            client.post("/encode", json={"rows": [row]}),
            client.post("/reconstruct", json={"rows": [[None, *row[1:]]]}),
            client.post("/sample", json={"count": 1000}),
        ]

    assert told["device"] == "cuda"
    assert [answer.status_code for answer in answers] == [200] * 4
