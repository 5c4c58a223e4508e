"""Sensors that a density cannot take as they come: found by simple rules, each told with what was done about it.

Every rule looks at the readings trained on. Finding a difficulty changes nothing: constant sensors are outside the
density and the decoder's scale has a floor (training/standardise.py) whatever is found here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.array import Array
from app.manifest import Sensor
from app.report import DifficultSensor, Kind
from training.data import SAME
from training.standardise import SCALE_FLOOR
from training.traits import correlations, l_kurtosis, rank, rarer_of_two, sticking

MOST_LEVELS = 32
"""A sensor is stepped when rounding raises its floor, Δ/√12 > SCALE_FLOOR scales, or it has so few different values…"""
ROWS_A_LEVEL = 4
"""…and each of them on average this many readings at least."""
HEAVY = 0.25
"""L-kurtosis above which a sensor is heavy-tailed: 0.12 is the normal's, 0.24 Laplace's, 0.26 that of Student's t with
3 degrees of freedom (Hosking 1990)."""
DUPLICATED = 0.999
"""Least correlation of a sensor and its copy, of values and also of ranks: one row far out makes the first alone."""


@dataclass(frozen=True)
class _Column:
    """A sensor and its readings, ascending and none missing."""

    sensor: Sensor
    values: Array
    floor: float
    """The least scale that its decoder may have, in its unit; 0 where the scale is fixed."""

    @property
    def bounded(self) -> str:
        """What keeps it from buying density without end, in words."""
        if not self.floor:
            return "its decoder's scale is fixed by kl_weight"
        scales = self.floor / self.sensor.scale
        return f"its decoder's scale is never below {self.floor:.3g}, {scales:.2g} training scales"

    def difficulty(self, kind: Kind, measure: float, found: str, done: str) -> DifficultSensor:
        return DifficultSensor(name=self.sensor.name, kind=kind, measure=float(measure), found=found, done=done)


def difficult(x: Array, sensors: tuple[Sensor, ...], floor: Array) -> tuple[DifficultSensor, ...]:
    """The difficulties of every sensor in the rows trained on, in the sensors' order.

    Args:
        x: [n, D] in the sensors' units, NaN where missing.
        sensors: what `training.data.describe` says of x.
        floor: [D], the least scale that each sensor's decoder may have, in its unit; 0 where there is none.
    """
    columns = [
        _Column(sensor, np.sort(values[~np.isnan(values)]), least)
        for sensor, values, least in zip(sensors, x.T, floor.tolist(), strict=True)
    ]
    copies = _copies(x, sensors)
    found: list[DifficultSensor] = []
    for d, column in enumerate(columns):
        found += [_constant(column)] if column.sensor.constant else _moving(column)
        if d in copies:
            found.append(_duplicated(column, *copies[d]))
    return tuple(found)


def _constant(column: _Column) -> DifficultSensor:
    sensor, values = column.sensor, column.values
    return column.difficulty(
        "constant",
        (values[-1] - values[0]) / (abs(sensor.mean) or 1.0),
        f"always {sensor.mean:.6g}",
        "outside the density, where it would buy infinitely much; when it moves it costs "
        f"½ ((x − {sensor.mean:.6g}) / {sensor.scale:.3g})² nats",
    )


def _moving(column: _Column) -> Iterator[DifficultSensor]:
    """Of a sensor that moves: two-valued, or else any of stepped, saturated and heavy-tailed."""
    sensor, values = column.sensor, column.values
    rarer = rarer_of_two(values)
    if rarer is not None:
        yield _two_valued(column, rarer)
        return
    levels = 1 + int((np.diff(values) > SAME * (values[-1] - values[0])).sum())
    coarse = sensor.resolution / sensor.scale / 12**0.5 > SCALE_FLOOR
    if levels > 2 and (coarse or levels <= min(MOST_LEVELS, len(values) / ROWS_A_LEVEL)):
        yield _stepped(column, levels)
    for end, value, share in sticking(values, sensor.scale):
        yield _saturated(column, end, value, share)
    kurtosis = l_kurtosis(values)
    if kurtosis > HEAVY:
        yield _heavy_tailed(column, kurtosis)


def _two_valued(column: _Column, rarer: float) -> DifficultSensor:
    sensor, count = column.sensor, len(column.values)
    return column.difficulty(
        "two-valued",
        rarer,
        f"{sensor.min:.6g} or {sensor.max:.6g}, the rarer in {_percent(rarer)} of {count} readings",
        f"{column.bounded}; a value in between, or the one that the other sensors speak against, still surprises",
    )


def _stepped(column: _Column, levels: int) -> DifficultSensor:
    step = column.sensor.resolution / column.sensor.scale
    return column.difficulty(
        "stepped",
        step,
        f"{levels} different values, {column.sensor.resolution:.3g} apart or more ({step:.2g} training scales)",
        f"{column.bounded}, so that the steps buy little density",
    )


def _saturated(column: _Column, end: str, value: float, share: float) -> DifficultSensor:
    return column.difficulty(
        "saturated",
        share,
        f"sticks near {value:.6g}, its {end}, in {_percent(share)} of the readings",
        f"{column.bounded}; where it sticks it does not tell what lies beyond its limit",
    )


def _heavy_tailed(column: _Column, kurtosis: float) -> DifficultSensor:
    low, middle, high = column.values[0], float(np.median(column.values)), column.values[-1]
    furthest = low if middle - low > high - middle else high
    return column.difficulty(
        "heavy-tailed",
        kurtosis,
        f"L-kurtosis {kurtosis:.2f} (a normal has 0.12); the furthest reading, {furthest:.6g}, is "
        f"{abs(furthest - middle) / column.sensor.scale:.3g} training scales from the median",
        "the encoder sees its logarithmic growth and the decoder's scale may follow the row; if the far readings are "
        "faults leave them out, if not try its logarithm",
    )


def _duplicated(column: _Column, first: str, correlation: float) -> DifficultSensor:
    return column.difficulty(
        "duplicated",
        correlation,
        f"an affine copy of '{first}' (correlation {correlation:.5f})",
        f"{column.bounded}, so that the copy buys no endless density; what surprises in one surprises in both, so "
        "leave one out with --drop unless they are to watch each other",
    )


def _copies(x: Array, sensors: tuple[Sensor, ...]) -> dict[int, tuple[str, float]]:
    """Column of each sensor that is an affine copy of an earlier one → the first such one's name, the correlation."""
    moving = [d for d, sensor in enumerate(sensors) if not sensor.constant]
    mean, scale = (np.array([getattr(sensors[d], of) for d in moving]) for of in ("mean", "scale"))
    by_value = correlations((x[:, moving] - mean) / scale)
    by_rank = correlations(rank(x[:, moving]))
    close = np.tril(np.minimum(np.abs(by_value), np.abs(by_rank)) >= DUPLICATED, k=-1)
    firsts = {copy: int(close[copy].argmax()) for copy in np.flatnonzero(close.any(axis=1)).tolist()}
    return {moving[copy]: (sensors[moving[first]].name, float(by_value[copy, first])) for copy, first in firsts.items()}


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
