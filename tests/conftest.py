"""Real bundles, small and quick: a linear model planted at its closed-form optimum, exported as any other."""

import shutil
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from app import bundle
from app.array import Array
from app.bundle import Bundle
from app.engine import Engine
from app.manifest import Provenance
from app.probe import Proof
from training.build import build
from training.calibrate import HeldOut
from training.config import Config
from training.data import describe
from training.export import Trained, export
from training.standardise import standardise

PLANT_NAMES = ("temperature", "pressure", "flow", "valve")
PLANT_UNITS = ("°C", "mbar", "m³/h", None)


def provenance(seed: int = 0) -> Provenance:
    """The provenance of a model that was planted, not trained."""
    return Provenance(
        data="planted.csv",
        data_sha256="0" * 64,
        attribution=None,
        command="planted by the tests",
        seed=seed,
        threads=1,
        versions={},
        config={},
        rows={"train": 2000, "validation": 0, "calibration": 999},
        curve=(),
    )


def plant_rows(count: int, seed: int) -> Array:
    """Healthy readings [count, 4] of the plant: three correlated sensors and a valve that never moves."""
    generator = np.random.default_rng(seed)
    load = generator.standard_normal((count, 2))
    moving = load @ np.array([[0.9, 0.4, 0.3], [0.1, -0.7, 0.8]]) + 0.4 * generator.standard_normal((count, 3))
    x = np.array([20.0, 1013.0, 5.0]) + np.array([2.0, 8.0, 0.5]) * moving
    return np.column_stack([x, np.full(count, 3.0)])


@pytest.fixture(scope="session", autouse=True)
def heeded() -> None:
    """A shell that runs the tests in the background has them ignore Ctrl-C, nohup also that the terminal closes; and
    what is ignored their children would ignore too."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with plant/1 and plant/2, which differ in their version only."""
    folder = tmp_path_factory.mktemp("models")
    sensors = describe(plant_rows(2000, seed=1), PLANT_NAMES, PLANT_UNITS)
    config = Config(width=0, components=0, latent_size=2, decoder_scale="shared")
    vae = build(config, sensors, standardise(plant_rows(2000, seed=1), sensors))
    written = export(Trained("plant", vae, sensors, plant_rows(999, seed=2), provenance()), folder)
    assert written is not None
    copy_bundle(written, folder, "plant", 2)
    return folder


def copy_bundle(source: Bundle, root: Path, name: str, version: int) -> Bundle:
    """The same model under another name or version, sealed anew."""
    folder = root / name / str(version)
    shutil.copytree(source.path, folder)
    bundle.seal(folder, source.manifest.model_copy(update={"name": name, "version": version}))
    return bundle.read(folder)


def as_format_2(source: Bundle, root: Path) -> Path:
    """The same model as the second format had it: importance.onnx takes normals only; here 0.5 picks the component."""
    folder = root / source.manifest.name / str(source.manifest.version)
    shutil.copytree(source.path, folder)
    model = onnx.load(folder / bundle.IMPORTANCE)
    for node in model.graph.node:
        node.input[:] = ["both" if name == "noise" else name for name in node.input]
    constants = {"first": np.array([0]), "nothing": np.array(0.0), "half": np.array(0.5)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    steps = [
        helper.make_node("Gather", ["noise", "first"], ["normal"], axis=1),
        helper.make_node("Mul", ["normal", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "half"], ["uniform"]),
        helper.make_node("Concat", ["uniform", "noise"], ["both"], axis=1),
    ]
    steps += model.graph.node
    del model.graph.node[:]
    model.graph.node.extend(steps)
    (noise,) = (given for given in model.graph.input if given.name == "noise")
    noise.type.tensor_type.shape.dim[1].dim_value -= 1
    onnx.save(model, folder / bundle.IMPORTANCE)
    proof = Proof.read(folder / bundle.PROBE)
    proof.draws[:, 0] = 0.5
    answers = Engine(source).answers(proof.x, proof.noise, proof.draws)
    Proof(proof.x, proof.noise, proof.draws[:, 1:], answers).write(folder / bundle.PROBE)
    bundle.seal(folder, source.manifest.model_copy(update={"format": 2}))
    return folder


@pytest.fixture(scope="session")
def plant(models: Path) -> Bundle:
    """The bundle plant/1."""
    return bundle.read(models / "plant" / "1")


@pytest.fixture(scope="session")
def tailed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The plant's model with 6000 held-out rows, enough for a tail, one row an hour: tailed/1."""
    plant = bundle.read(models / "plant" / "1")
    folder = tmp_path_factory.mktemp("tailed") / "tailed" / "1"
    shutil.copytree(plant.path, folder)
    held_out = HeldOut.of(Engine(plant), plant_rows(6000, seed=20))
    held_out.write(folder / bundle.CALIBRATION)
    changes = {"name": "tailed", "calibration": held_out.account(3600.0)}
    bundle.seal(folder, plant.manifest.model_copy(update=changes))
    return bundle.read(folder)


@pytest.fixture(scope="session")
def plant_engine(plant: Bundle) -> Engine:
    """plant/1, opened on the CPU."""
    return Engine(plant)
