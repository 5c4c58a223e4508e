"""Torch's own answers to the five questions, and the rows on which onnxruntime must give the same."""

import numpy as np
import torch

from app.array import Array
from app.manifest import Sensor
from app.probe import Answers
from training.graphs import Graphs
from training.questions import OF_ROWS, OfRows, Sample

AT_ONCE = 256


class TorchModel:
    """The graphs' modules, asked as the engine is."""

    def __init__(self, graphs: Graphs) -> None:
        self.latents = graphs.latents
        self.of_rows = OfRows(graphs).eval()
        self.sample = Sample(graphs).eval()

    @torch.no_grad()
    def answers(self, x: Array, noise: Array, draws: Array) -> Answers:
        """What torch says of rows x [n, D], noise [n, M] and draws [K, 1 + L]."""
        parts = []
        for rows, own in zip(torch.tensor(x).split(AT_ONCE), torch.tensor(noise).split(AT_ONCE), strict=True):
            parts.append((*self.of_rows(rows, torch.tensor(draws)), self.sample(own)))
        whole = [torch.cat(part).numpy() for part in zip(*parts, strict=True)]
        return Answers(**dict(zip((*OF_ROWS, "sample"), whole, strict=True)))


def rows_to_compare(held_out: Array, sensors: tuple[Sensor, ...], count: int, seed: int = 0) -> Array:
    """`count` rows [count, D]: healthy ones, the same with sensors missing, and rows far out, up to float32's range."""
    generator = np.random.default_rng(seed)
    mean, scale = np.array([s.mean for s in sensors]), np.array([s.scale for s in sensors])
    healthy = held_out[np.linspace(0, len(held_out) - 1, count - count // 2).astype(int)]
    holed = healthy[: count // 4].copy()
    holed[generator.random(holed.shape) < 0.3] = np.nan
    holed[-1] = np.nan
    direction = generator.uniform(-1, 1, size=(count - len(healthy) - len(holed), len(sensors)))
    distance = np.logspace(0, 6, len(direction))[:, None]
    largest = np.finfo(np.float32).max / 2
    far = np.clip(mean + distance * scale * direction, -largest, largest)
    far[-1], far[-2] = 3e38, -3e38
    return np.concatenate([healthy, holed, far])
