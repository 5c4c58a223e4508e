"""The engine: closed forms through the exported graphs, the same bits for a row wherever it stands, and proofs."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from app import bundle
from app.bundle import Bundle
from app.engine import Engine
from app.errors import BundleError, DeviceError
from app.probe import Proof
from app.session import UNITS
from tests.conftest import plant_rows


def test_score_is_kl_plus_the_sum_over_sensors(plant_engine: Engine) -> None:
    """The parts add up to the score, to 1e-9 of it, on healthy, holed and far rows."""
    x = plant_rows(500, seed=5)
    x[::3, 1] = np.nan
    x[::7] *= 1e6

    scores = plant_engine.score(x)

    np.testing.assert_allclose(scores.kl + scores.per_sensor.sum(axis=1), scores.score, rtol=1e-9)


def test_score_of_the_planted_optimum_is_the_closed_form(plant_engine: Engine, plant: Bundle) -> None:
    """A linear model at the probabilistic-PCA optimum scores the exact negative log-likelihood in raw units."""
    train, x = plant_rows(2000, seed=1)[:, :3], plant_rows(1000, seed=6)
    mean, scale = train.mean(axis=0), train.std(axis=0)
    values, vectors = np.linalg.eigh(np.corrcoef(train.T))
    noise = values[0]
    covariance = vectors[:, 1:] @ np.diag(values[1:] - noise) @ vectors[:, 1:].T + noise * np.eye(3)
    exact = -multivariate_normal(mean, covariance * np.outer(scale, scale)).logpdf(x[:, :3])

    found = plant_engine.score(x).score

    np.testing.assert_allclose(found, exact, atol=1e-3)


def test_nothing_observed_scores_nothing(plant_engine: Engine) -> None:
    """A row with every sensor missing has score, kl and per_sensor 0."""
    scores = plant_engine.score(np.full((2, 4), np.nan))

    assert scores.score.tolist() == [0, 0]
    assert scores.kl.tolist() == [0, 0]
    assert not scores.per_sensor.any()


def test_a_missing_sensor_costs_nothing(plant_engine: Engine) -> None:
    """per_sensor of a missing sensor is 0, and its reconstruction is a number all the same."""
    x = plant_rows(10, seed=7)
    x[:, 2] = np.nan

    assert not plant_engine.score(x).per_sensor[:, 2].any()
    assert np.isfinite(plant_engine.reconstruct(x).mean).all()


def test_a_constant_sensor_at_rest_is_free_and_surprises_when_it_moves(plant_engine: Engine) -> None:
    """The valve adds nothing at its training value and half a squared training scale beyond it."""
    x = plant_rows(3, seed=8)
    x[1, 3], x[2, 3] = 3.06, 6.0

    nats = plant_engine.score(x).per_sensor[:, 3]

    np.testing.assert_allclose(nats, [0, 2, 5000], atol=1e-9)


@given(rows=st.integers(1, 257), start=st.integers(0, 60))
def test_a_row_has_the_same_bits_in_every_batch(plant_engine: Engine, rows: int, start: int) -> None:
    """Every answer to a row is identical whatever the batch and the row's place in it."""
    x = plant_rows(400, seed=9)
    x[::5, 0] = np.nan
    noise = np.random.default_rng(0).standard_normal((400, plant_engine.manifest.noise_size))
    generator = np.random.default_rng(1)
    draws = np.column_stack([generator.random(6), generator.standard_normal((6, plant_engine.manifest.latent_size))])
    everywhere = plant_engine.answers(x, noise, draws)

    here = plant_engine.answers(x[start : start + rows], noise[start : start + rows], draws)

    for name, found in vars(here).items():
        assert found.tobytes() == getattr(everywhere, name)[start : start + rows].tobytes(), name


def test_another_process_gives_the_same_bits(plant_engine: Engine, plant: Bundle, tmp_path: Path) -> None:
    """A fresh interpreter scores the same rows to the same bytes."""
    x = plant_rows(33, seed=10)
    np.save(tmp_path / "x.npy", x)
    program = (
        "import sys, numpy as np; from pathlib import Path; from app import bundle; from app.engine import Engine;"
        "engine = Engine(bundle.read(Path(sys.argv[1])));"
        "sys.stdout.buffer.write(engine.score(np.load(sys.argv[2])).score.tobytes())"
    )

    told = subprocess.run(
        [sys.executable, "-c", program, str(plant.path), str(tmp_path / "x.npy")], capture_output=True, check=True
    )

    assert told.stdout == plant_engine.score(x).score.tobytes()


def test_expected_masks_the_sensor_in_question(plant_engine: Engine) -> None:
    """What a sensor should read does not follow the sensor's own fault."""
    x = plant_rows(5, seed=11)
    broken = x.copy()
    broken[:, 1] += 500

    healthy, faulty = plant_engine.expected(x), plant_engine.expected(broken)

    assert healthy.mean[:, 1].tolist() == faulty.mean[:, 1].tolist()
    assert healthy.mean[:, 0].tolist() != faulty.mean[:, 0].tolist()


def test_samples_have_the_moments_of_the_data(plant_engine: Engine) -> None:
    """20,000 sampled rows have the mean and covariance that the model was planted with."""
    noise = np.random.default_rng(1).standard_normal((20_000, plant_engine.manifest.noise_size))

    rows = plant_engine.sample(noise)

    healthy = plant_rows(20_000, seed=12)
    np.testing.assert_allclose(rows.mean(axis=0), healthy.mean(axis=0), atol=0.3)
    np.testing.assert_allclose(np.corrcoef(rows[:, :3].T), np.corrcoef(healthy[:, :3].T), atol=0.1)
    assert (rows[:, 3] == 3.0).all()


def test_a_graph_that_computes_something_else_is_refused(plant: Bundle, tmp_path: Path) -> None:
    """A bundle whose hashes hold but whose probe does not is not opened."""
    folder = tmp_path / "plant" / "1"
    shutil.copytree(plant.path, folder)
    proof = Proof.read(folder / bundle.PROBE)
    proof.answers.score[3] += 0.01
    proof.write(folder / bundle.PROBE)
    bundle.seal(folder, plant.manifest)

    with pytest.raises(BundleError, match=r"probe\.npz: score is off by"):
        Engine(bundle.read(folder))


def test_a_graph_of_another_width_is_refused(plant: Bundle, tmp_path: Path) -> None:
    """A manifest that names more sensors than the graphs take is not opened."""
    folder = tmp_path / "plant" / "1"
    shutil.copytree(plant.path, folder)
    extra = plant.manifest.sensors[0].model_copy(update={"name": "another"})
    bundle.seal(folder, plant.manifest.model_copy(update={"sensors": (*plant.manifest.sensors, extra)}))

    with pytest.raises(BundleError, match="signature"):
        Engine(bundle.read(folder))


def test_the_sample_graph_of_a_prior_of_one_component_sums_over_something(plant: Bundle) -> None:
    """CUDA refuses a sum over an axis of length 0."""
    model = onnx.load(plant.path / bundle.SAMPLE)
    summed = [node.input[0] for node in model.graph.node if node.op_type == "ReduceSum"]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in summed)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    found = session.run(summed, {"noise": Proof.read(plant.path / bundle.PROBE).noise})

    assert found
    assert all(value.size for value in found)


def test_cuda_that_cannot_be_had_is_refused(plant: Bundle) -> None:
    """Asking for CUDA on a machine without it says so instead of computing elsewhere; auto takes the CPU."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")

    with pytest.raises(DeviceError, match="CUDA"):
        Engine(plant, device="cuda")
    assert Engine(plant, device="auto").device == "cpu"


def test_how_long_a_row_takes_is_seen_when_the_graphs_are_opened(plant_engine: Engine) -> None:
    """How much may wait is told by it: a guess would refuse who asks for much at the first moment."""
    assert 0 < plant_engine.unit.seconds <= UNITS["cpu"].seconds
    assert plant_engine.unit.rows == UNITS["cpu"].rows
