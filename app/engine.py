"""The verbs on numpy arrays: one onnxruntime session per graph of a verified bundle.

Everything statistical is inside the graphs; models/README.md says what each takes and gives. An engine may be used from
several threads at once.
"""

import logging
from collections.abc import Iterator
from time import perf_counter
from typing import Literal, NamedTuple

import numpy as np

from app import bundle
from app.array import Array, Index
from app.bundle import Bundle
from app.errors import BundleError
from app.importance import Bound, Draws, Moments, bound, moments, resample
from app.long import require_asker
from app.manifest import Manifest
from app.noise import evenly, standard_normal, uniform, whitened
from app.probe import Answers, Proof
from app.session import ANY, RUN_SIZES, UNITS, Axes, Device, Graph, Unit, batches, choose_device

VECTOR = 4
"""onnxruntime's exp and log take this many values at a time: draws are run in multiples of it, for equal bits."""
CONDITIONAL_DRAWS = 128
"""Draws that a missing sensor's moments are made of, or twice the latents where that is more."""
TIMED = 3
"""Runs by which it is seen how long one takes: of a machine that does other things too the shortest tells most."""
RESAMPLED_DRAWS = 1024
"""Draws that rows with missing sensors are completed from."""

logger = logging.getLogger("nelbo.engine")


class Encoding(NamedTuple):
    """q(z|x) per row: mean and scale, both [n, L], in latents normalised to mean 0 and variance 1 under the prior."""

    mean: Array
    scale: Array


class Scores(NamedTuple):
    """The negative ELBO in nats, larger is more surprising: score [n] = kl [n] + the sum of per_sensor [n, D]."""

    score: Array
    kl: Array
    per_sensor: Array


class Engine:
    """A bundle's graphs, opened on one device and proved by its probe."""

    def __init__(self, opened: Bundle, device: Literal["auto", "cpu", "cuda"] = "cpu") -> None:
        """Open the graphs and recompute the probe.

        Raises:
            BundleError: a graph does not open, has another signature than the manifest says or fails the probe.
            DeviceError: `device` is "cuda" and CUDA cannot be had.
        """
        self.manifest: Manifest = opened.manifest
        self.device: Device = choose_device(device, opened.path / bundle.ENCODE)
        self._size = RUN_SIZES[self.device]
        sensors, latents, noise = len(self.manifest.sensors), self.manifest.latent_size, self.manifest.noise_size
        x: Axes = {"x": [sensors]}

        def graph(file: str, inputs: Axes, outputs: Axes) -> Graph:
            return Graph(opened.path / file, self.device, inputs, outputs)

        self._encode = graph(bundle.ENCODE, x, {"mean": [latents], "scale": [latents]})
        self._reconstruct = graph(bundle.RECONSTRUCT, x, {"mean": [sensors], "scale": [sensors]})
        self._sample = graph(bundle.SAMPLE, {"noise": [noise]}, {"x": [sensors]})
        scores: Axes = {"score": [], "kl": [], "per_sensor": [sensors]}
        # Its runs are short ones always, so that an arena stays small.
        self._score = Graph(opened.path / bundle.SCORE, self.device, x, scores, arena=True)
        self._draw_size = latents if self.manifest.format == 2 else 1 + latents
        self._importance = graph(
            bundle.IMPORTANCE,
            {**x, "noise": [self._draw_size]},
            {"log_weight": [ANY], "mean": [ANY, sensors], "scale": [ANY, sensors]},
        )
        self._graphs = (self._encode, self._reconstruct, self._sample, self._score, self._importance)
        proof = _prove(self, opened)
        self.unit: Unit = _paced(self, proof.x)
        """What the time of a run is told by."""

    def encode(self, x: Array) -> Encoding:
        """q(z|x) of raw rows x [n, D]; NaN is a missing sensor."""
        return Encoding(*self._encode(x))

    def reconstruct(self, x: Array) -> Moments:
        """Predictive moments of every sensor given the row itself: x [n, D] with NaN where missing.

        A row with missing sensors is answered by importance weights.
        """
        holed = np.isnan(x).any(axis=1)
        mean, scale = np.empty_like(x), np.empty_like(x)
        mean[~holed], scale[~holed] = self._reconstruct(x[~holed])
        places = np.flatnonzero(holed)
        latents = self.manifest.latent_size
        count = max(CONDITIONAL_DRAWS, 2 * latents)
        for rows, draws in self.importance(x[holed], self._draws(evenly(count), whitened(0, count, latents))):
            given = moments(draws)
            mean[places[rows]], scale[places[rows]] = given.mean, given.scale
        return Moments(mean, scale)

    def expected(self, x: Array) -> Moments:
        """Predictive moments of every sensor given the *other* sensors of its row, so that no value explains itself.

        Costs D reconstructions a row: sensor d's answer comes from the row with d masked.
        """
        sensors = x.shape[1]
        diagonal = np.eye(sensors, dtype=bool)
        mean, scale = np.empty_like(x), np.empty_like(x)
        rows_at_once = max(1, self._size.complete // sensors)
        for start in range(0, len(x), rows_at_once):
            rows = x[start : start + rows_at_once]
            masked = np.where(diagonal, np.nan, rows[:, None, :])
            given_others = self.reconstruct(masked.reshape(-1, sensors))
            mean[start : start + len(rows)] = given_others.mean.reshape(masked.shape)[:, diagonal]
            scale[start : start + len(rows)] = given_others.scale.reshape(masked.shape)[:, diagonal]
        return Moments(mean, scale)

    def sample(self, noise: Array) -> Array:
        """Rows [n, D] drawn from p(x), in the sensors' units, from standard normal noise [n, M]."""
        (x,) = self._sample(noise)
        return x

    def score(self, x: Array) -> Scores:
        """The negative ELBO of raw rows x [n, D], over the observed sensors; NaN is a missing sensor."""
        return Scores(*self._score(x))

    def importance(self, x: Array, noise: Array) -> Iterator[tuple[Index, Draws]]:
        """What the posterior draws made by noise [K, …] say of rows x [n, D], a few rows at a time, with their numbers.

        The noise is what the bundle's format says: a uniform number and a standard normal one for each latent.
        """
        count = len(noise)
        padded = np.concatenate([noise, np.zeros((-count % VECTOR, noise.shape[1]))])
        at_once = max(1, min(self._size.holed, self._size.draws // len(padded)))
        for _, some in batches(x, at_once, at_once):
            require_asker()
            log_weight, mean, scale = self._importance.run(at_once, x[some], padded)
            yield some, Draws(log_weight[:, :count], mean[:, :count], scale[:, :count])

    def bound(self, x: Array, draws: int, seed: int) -> Bound:
        """The importance-weighted bound of rows x [n, D] with the first `draws` that `seed` makes."""
        value, error = np.empty(len(x)), np.empty(len(x))
        count = max(2, draws)  # an error takes two
        noise = self._draws(uniform(seed, count), standard_normal(seed, count, self.manifest.latent_size))
        for rows, drawn in self.importance(x, noise):
            part = bound(drawn.log_weight, draws)
            value[rows], error[rows] = part.value, part.error
        nothing = np.isnan(x).all(axis=1)
        return Bound(np.where(nothing, 0.0, value), np.where(nothing, 0.0, error))

    def complete(self, given: Array, count: int, seed: int) -> Array:
        """`count` rows [count, D] like given [1, D], its missing sensors drawn given the others."""
        noise = standard_normal(seed, max(count, RESAMPLED_DRAWS), self.manifest.latent_size + given.shape[1])
        latent, own = np.split(noise, [self.manifest.latent_size], axis=1)
        own[:, [sensor.constant for sensor in self.manifest.sensors]] = 0  # it is where it rests
        first = self._draws(evenly(RESAMPLED_DRAWS), latent[:RESAMPLED_DRAWS])
        ((_, draws),) = self.importance(given, first)
        return np.where(np.isnan(given), resample(draws, uniform(seed, count), own[:count]), given)

    @property
    def has_failed(self) -> bool:
        """Whether a run of a graph ended in an error, and the graphs were not asked again since."""
        return any(graph.has_failed for graph in self._graphs)

    def answers_again(self) -> bool:
        """Whether every graph answers when it is asked about a row like any other: the mean of all.

        One question may be too much for a device, and the next is not; but a GPU that has failed once may answer nobody
        any more, until the process starts anew.
        """
        for graph in self._graphs:
            graph.has_failed = False
        draws = np.full((VECTOR, self._draw_size), 0.5)
        mean = np.array([[sensor.mean for sensor in self.manifest.sensors]])
        try:
            self.answers(mean, np.zeros((1, self.manifest.noise_size)), draws)
        except Exception:
            logger.exception("%s@%s cannot compute", self.manifest.name, self.manifest.version)
            return False
        return True

    def answers(self, x: Array, noise: Array, draws: Array) -> Answers:
        """What every graph says of rows x [n, D], noise [n, M] and draws [K, L], to compare with a proof."""
        encoding, scores = self.encode(x), self.score(x)
        mean, scale = self._reconstruct(x)
        weighted = self._weigh(x, draws)
        return Answers(
            latent_mean=encoding.mean,
            latent_scale=encoding.scale,
            mean=mean,
            scale=scale,
            sample=self.sample(noise),
            score=scores.score,
            kl=scores.kl,
            per_sensor=scores.per_sensor,
            log_weight=weighted.log_weight,
            draw_mean=weighted.mean,
            draw_scale=weighted.scale,
        )

    def _weigh(self, x: Array, noise: Array) -> Draws:
        """`importance` of all rows at once."""
        count, sensors = len(noise), x.shape[1]
        log_weight = np.empty((len(x), count))
        mean, scale = np.empty((2, len(x), count, sensors))
        for rows, drawn in self.importance(x, noise):
            log_weight[rows], mean[rows], scale[rows] = drawn.log_weight, drawn.mean, drawn.scale
        return Draws(log_weight, mean, scale)

    def _draws(self, uniform: Array, normal: Array) -> Array:
        """Noise as the bundle's importance graph takes it; that of format 2 had no use for the uniform numbers [K]."""
        return np.column_stack([uniform, normal])[:, -self._draw_size :]


def _prove(engine: Engine, opened: Bundle) -> Proof:
    """Compute the probe's answers again; it is the warm-up too."""
    proof = Proof.read(opened.path / bundle.PROBE)
    sensor_scale = np.array([sensor.scale for sensor in opened.manifest.sensors])
    computed = engine.answers(proof.x, proof.noise, proof.draws)
    rows = opened.manifest.probe.rows
    if len(proof.x) != rows or computed.shapes() != proof.answers.shapes():
        raise BundleError(
            opened.path, f"{bundle.PROBE}: it has {len(proof.x)} rows or misshapen answers, expected {rows}"
        )
    name, excess = computed.worst(proof.answers, sensor_scale, opened.manifest.probe)
    if not excess <= 0:
        told = f"{name} is off by {excess:.3g} more than the manifest allows on this machine"
        raise BundleError(opened.path, f"{bundle.PROBE}: {told}; the graphs do not compute what was trained")
    return proof


def _paced(engine: Engine, x: Array) -> Unit:
    """The device's unit with the seconds that a score's rows x [n, D] were seen to take here, where these are fewer.

    How much may wait is told by it: who asks for much at the first moment is not to be refused for a guess.
    """
    unit, complete = UNITS[engine.device], x[~np.isnan(x).any(axis=1)]
    units = -(-len(complete) // unit.rows)
    seconds = [unit.seconds]
    for _ in range(TIMED) if units else ():
        started = perf_counter()
        engine.score(complete)
        seconds.append((perf_counter() - started) / units)
    return unit._replace(seconds=min(seconds))
