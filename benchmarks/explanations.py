"""How often an explanation of an anomaly names a sensor that caused it, on the five server tables.

    python -m benchmarks.explanations [TABLE …]

For each anomalous segment with named causes an explanation gives every sensor an amount, summed over the segment's rows
(at most 50 of them, at even distances); it is right where the sensor of the largest amount is a cause, and right among
three where one of the three largest is. "Chance" is how often a blind order is right: many segments have most sensors
for causes. The model is nelbo's one default, fitted to the table's healthy rows.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
from sklearn.preprocessing import StandardScaler

from app.array import Array
from app.engine import Engine
from benchmarks.detectors import RIDGE
from benchmarks.fitting import data_folder, fit, machine
from benchmarks.segments import Segment, ServerTable, read
from training.config import Config

MOST_ROWS = 50
"""Of a segment: a row costs one reconstruction for each of its sensors."""

Explanation = Callable[[Array], Array]
"""Rows [n, D] → how much each sensor is to blame, [n, D]."""


@dataclass(frozen=True)
class Right:
    """On how many segments an explanation was right; by chance, the expected number."""

    top: float
    top_three: float

    def __add__(self, other: "Right") -> "Right":
        return Right(self.top + other.top, self.top_three + other.top_three)


NEVER = Right(0, 0)


def main(chosen: list[str]) -> None:
    """Print a block a table, and one of all of them."""
    print(machine())
    files = {file.stem: file for file in sorted((data_folder() / "server-metrics").glob("*.npz"))}
    if unknown := set(chosen) - files.keys():
        sys.exit(f"no such table: {', '.join(sorted(unknown))}; there are {', '.join(files)}")
    total: dict[str, Right] = {}
    segments = 0
    for name in chosen or files:
        table = read(files[name])
        found = _table(table)
        total = {explanation: right + total.get(explanation, NEVER) for explanation, right in found.items()}
        segments += len(table.segments)
    _tell("all of these tables", segments, total)


def _table(table: ServerTable) -> dict[str, Right]:
    model = fit(table.train, Config())
    explanations = {**_of_nelbo(model.engine), **_of_a_gaussian(table.train)}
    segments, sensors = table.segments, table.train.shape[1]
    found = {name: sum((judge(table, s, explain) for s in segments), NEVER) for name, explain in explanations.items()}
    found["chance"] = sum((by_chance(len(s.causes), sensors) for s in segments), NEVER)
    _tell(f"{table.name}, {model.seconds / 60:.1f} minutes to fit", len(segments), found)
    return found


def _of_nelbo(engine: Engine) -> dict[str, Explanation]:
    """What the engine says, and two plainer readings of the same model."""
    training_scale = np.array([sensor.scale for sensor in engine.manifest.sensors])
    usual = np.array([sensor.usual_nats for sensor in engine.manifest.sensors], dtype=float)

    def given_others(x: Array) -> Array:
        expected = engine.expected(x)
        return np.abs(x - expected.mean) / expected.scale

    def residual(x: Array) -> Array:
        reconstructed = engine.reconstruct(x)
        return np.abs(x - reconstructed.mean) / reconstructed.scale

    return {
        "nelbo, nats per sensor": lambda x: engine.score(x).per_sensor,
        "nelbo, nats above the usual": lambda x: engine.score(x).per_sensor - usual,
        "nelbo, residual given the others": given_others,
        "nelbo, residual only": residual,
        "nelbo, residual in training scales": lambda x: np.abs(x - engine.reconstruct(x).mean) / training_scale,
    }


def _of_a_gaussian(train: Array) -> dict[str, Explanation]:
    """|z|, and the residual of each sensor given all others under a full Gaussian; constant columns keep their unit.

    With precision P, (P z)_d / √P_dd is sensor d minus its conditional mean, in conditional scales (Rue and Held 2005,
    theorem 2.3).
    """
    scaler = StandardScaler().fit(train)
    precision = np.linalg.inv(np.cov(scaler.transform(train).T) + RIDGE * np.eye(train.shape[1]))
    return {
        "|z|": lambda x: np.abs(scaler.transform(x)),
        "Gaussian, residual given the others": lambda x: (
            np.abs(scaler.transform(x) @ precision) / np.sqrt(np.diag(precision))
        ),
    }


def judge(table: ServerTable, segment: Segment, explain: Explanation) -> Right:
    """Whether the most blamed sensor, and one of the three most blamed, is a cause of the segment."""
    blame = explain(table.test[segment.rows(table.label, MOST_ROWS)]).sum(axis=0)
    most = [int(sensor) in segment.causes for sensor in np.argsort(-blame)[:3]]
    return Right(float(most[0]), float(any(most)))


def by_chance(causes: int, sensors: int) -> Right:
    """How often a blind order is right: 1 − C(D − c, k) / C(D, k) for the first k of D sensors, c of them causes."""
    return Right(*(1 - comb(sensors - causes, first) / comb(sensors, first) for first in (1, 3)))


def _tell(title: str, segments: int, found: Mapping[str, Right]) -> None:
    print(f"\n{title}: {segments} segments, at most {MOST_ROWS} rows of each")
    print(f"{'':36} {'top':>5} {'%':>6} {'top 3':>6} {'%':>6}")
    for name, right in found.items():
        share, share_of_three = 100 * right.top / segments, 100 * right.top_three / segments
        print(f"{name:36} {right.top:5.3g} {share:6.1f} {right.top_three:6.3g} {share_of_three:6.1f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
