"""The four verbs on numpy arrays: one onnxruntime session per graph of a verified bundle.

Everything statistical is inside the graphs; models/README.md says what each takes and gives. An engine may be used from
several threads at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from app import bundle
from app.bundle import Bundle, Manifest
from app.errors import BundleError, DeviceError
from app.probe import Answers, Proof

Array = npt.NDArray[np.float64]
Device = Literal["cpu", "cuda"]

BATCH = 256
"""Rows a session runs at once: it bounds memory, and no row's bits depend on where the cuts fall."""


@dataclass(frozen=True)
class Encoding:
    """q(z|x) per row: mean and scale, both [n, L], in latents normalised to mean 0 and variance 1 under the prior."""

    mean: Array
    scale: Array


@dataclass(frozen=True)
class Prediction:
    """What each sensor should have read: mean and scale (a standard deviation), both [n, D], in the sensors' units."""

    mean: Array
    scale: Array


@dataclass(frozen=True)
class Scores:
    """The negative ELBO in nats, larger is more surprising: score [n] = kl [n] + the sum of per_sensor [n, D]."""

    score: Array
    kl: Array
    per_sensor: Array


class Engine:
    """A bundle's graphs, opened on one device and proved by its probe."""

    def __init__(self, opened: Bundle, device: Literal["auto", "cpu", "cuda"] = "cpu", threads: int = 1) -> None:
        """Open the four graphs and recompute the probe.

        Raises:
            BundleError: a graph does not open, has another signature than the manifest says or fails the probe.
            DeviceError: `device` is "cuda" and CUDA cannot be had.
        """
        self.manifest: Manifest = opened.manifest
        self.device: Device = _choose_device(device, opened.path / bundle.ENCODE)
        sensors, latents, noise = len(self.manifest.sensors), self.manifest.latent_size, self.manifest.noise_size
        x = {"x": sensors}

        def graph(file: str, inputs: dict[str, int], outputs: dict[str, int | None]) -> "_Graph":
            return _Graph(opened.path / file, self.device, threads, inputs, outputs)

        self._encode = graph(bundle.ENCODE, x, {"mean": latents, "scale": latents})
        self._reconstruct = graph(bundle.RECONSTRUCT, x, {"mean": sensors, "scale": sensors})
        self._sample = graph(bundle.SAMPLE, {"noise": noise}, {"x": sensors})
        self._score = graph(bundle.SCORE, x, {"score": None, "kl": None, "per_sensor": sensors})
        _prove(self, opened)

    def encode(self, x: Array) -> Encoding:
        """q(z|x) of raw rows x [n, D]; NaN is a missing sensor."""
        return Encoding(*self._encode(x))

    def reconstruct(self, x: Array) -> Prediction:
        """Predictive moments of every sensor given the row itself: x [n, D] with NaN where missing."""
        return Prediction(*self._reconstruct(x))

    def expected(self, x: Array) -> Prediction:
        """Predictive moments of every sensor given the *other* sensors of its row, so that no value explains itself.

        Costs D reconstructions a row: sensor d's answer comes from the row with d masked.
        """
        sensors = x.shape[1]
        diagonal = np.eye(sensors, dtype=bool)
        mean, scale = np.empty_like(x), np.empty_like(x)
        rows_at_once = max(1, BATCH // sensors)
        for start in range(0, len(x), rows_at_once):
            rows = x[start : start + rows_at_once]
            masked = np.where(diagonal, np.nan, rows[:, None, :])
            given_others = self.reconstruct(masked.reshape(-1, sensors))
            mean[start : start + len(rows)] = given_others.mean.reshape(masked.shape)[:, diagonal]
            scale[start : start + len(rows)] = given_others.scale.reshape(masked.shape)[:, diagonal]
        return Prediction(mean, scale)

    def sample(self, noise: Array) -> Array:
        """Rows [n, D] drawn from p(x), in the sensors' units, from standard normal noise [n, M]."""
        (x,) = self._sample(noise)
        return x

    def score(self, x: Array) -> Scores:
        """The negative ELBO of raw rows x [n, D], over the observed sensors; NaN is a missing sensor."""
        return Scores(*self._score(x))

    def answers(self, x: Array, noise: Array) -> Answers:
        """What every graph says of rows x [n, D] and noise [n, M], to compare with a proof."""
        encoding, reconstruction, scores = self.encode(x), self.reconstruct(x), self.score(x)
        return Answers(
            latent_mean=encoding.mean,
            latent_scale=encoding.scale,
            mean=reconstruction.mean,
            scale=reconstruction.scale,
            sample=self.sample(noise),
            score=scores.score,
            kl=scores.kl,
            per_sensor=scores.per_sensor,
        )


class _Graph:
    """One session, its signature checked; calling it runs at most BATCH rows at a time."""

    def __init__(
        self, file: Path, device: Device, threads: int, inputs: dict[str, int], outputs: dict[str, int | None]
    ) -> None:
        self._session = _open_session(file, device, threads)
        found = [(_name, kind, shape[1:]) for _name, kind, shape in map(_described, self._session.get_inputs())]
        found += [(_name, kind, shape[1:]) for _name, kind, shape in map(_described, self._session.get_outputs())]
        signature = [*inputs.items(), *outputs.items()]
        expected = [(name, "tensor(double)", [] if width is None else [width]) for name, width in signature]
        if found != expected:
            raise BundleError(f"{file}: the graph's signature is {found}, the manifest says {expected}")
        self._input = next(iter(inputs))
        self._outputs = list(outputs)
        self._widths = list(outputs.values())

    def __call__(self, rows: Array) -> list[Array]:
        results = [np.empty((len(rows), *([] if width is None else [width]))) for width in self._widths]
        for start in range(0, len(rows), BATCH):
            batch = np.ascontiguousarray(rows[start : start + BATCH], dtype=np.float64)
            for result, part in zip(results, self._session.run(self._outputs, {self._input: batch}), strict=True):
                result[start : start + len(batch)] = part
        return results


def _described(node: ort.NodeArg) -> tuple[str, str, list[int]]:
    return node.name, node.type, list(node.shape)


def _open_session(file: Path, device: Device, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # the arena keeps its high-water mark for ever
    options.log_severity_level = 3
    providers: list[str | tuple[str, dict[str, str]]] = ["CPUExecutionProvider"]
    if device == "cuda":
        providers = [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
    try:
        return ort.InferenceSession(file, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime raises many unrelated classes for a graph that it does not take
        raise BundleError(f"{file}: onnxruntime does not open it: {error}") from error


def _choose_device(wanted: Literal["auto", "cpu", "cuda"], graph: Path) -> Device:
    """The device that works: onnxruntime falls back to the CPU in silence, so what it says it chose is asked for."""
    if wanted == "cpu":
        return "cpu"
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        if wanted == "cuda":
            raise DeviceError(
                "device 'cuda' was asked for, but this onnxruntime is built without CUDA: install nelbo[gpu]"
            )
        return "cpu"
    ort.preload_dlls()
    if _open_session(graph, "cuda", threads=1).get_providers()[0] == "CUDAExecutionProvider":
        return "cuda"
    if wanted == "cuda":
        raise DeviceError(
            "device 'cuda' was asked for, but onnxruntime could not start CUDA: no GPU, or no CUDA libraries"
        )
    return "cpu"


def _prove(engine: Engine, opened: Bundle) -> None:
    """Compute the probe's answers again; it is the warm-up too."""
    proof = Proof.read(opened.path / bundle.PROBE)
    sensor_scale = np.array([sensor.scale for sensor in opened.manifest.sensors])
    computed = engine.answers(proof.x, proof.noise)
    name, excess = computed.worst(proof.answers, sensor_scale, opened.manifest.probe)
    if not excess <= 0:
        raise BundleError(
            f"{opened.path}: the probe's {name} is off by {excess:.3g} more than the manifest allows on this machine; "
            "the graphs do not compute what was trained"
        )
