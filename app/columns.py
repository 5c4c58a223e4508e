"""What scoring adds to a table's rows, and which of the table's columns it is made from."""

from dataclasses import dataclass

import numpy as np

from app.array import Array
from app.errors import TableError
from app.hold import Alarms
from app.manifest import Manifest, Sensor
from app.model import Model
from app.tables import split_unit

BEFORE_ALARM = 2
"""Columns of numbers that the alarm follows: score and p_value."""


@dataclass(frozen=True)
class Wanted:
    """What to add to a table's rows."""

    false_alarm_rate: float
    explain: bool


@dataclass(frozen=True)
class Columns:
    """What was added to n rows, but for the alarm that --hold makes of it."""

    numbers: Array
    """[n, …]: score and p_value; with `explain` also kl and the nats of each sensor."""
    alarm: Alarms
    """[n], of each row by itself."""


def added_names(manifest: Manifest, wanted: Wanted) -> tuple[str, ...]:
    """The names of the columns that are added, in their order."""
    explained = ("kl", *(f"nats:{name}" for name in manifest.sensor_names)) if wanted.explain else ()
    return ("score", "p_value", "alarm", *explained)


def sensor_columns(file: str, names: tuple[str, ...], manifest: Manifest, wanted: Wanted) -> tuple[str, ...]:
    """The columns, of those named, that hold the model's sensors, in the model's order, with or without ` [unit]`.

    Raises:
        TableError: a sensor has no column or two, or its column has another unit than the model was trained on; or
            there is a column already of a name that is to be added.
    """
    columns = []
    for sensor in manifest.sensors:
        found = _columns_of(sensor, names)
        if len(found) != 1:
            there = " and ".join(f"'{name}'" for name in found) or f"{', '.join(names)}"
            lacking = sum(not _columns_of(other, names) for other in manifest.sensors)
            expected = f"expected one column '{sensor.name}', a sensor of the model"
            others = f"; {lacking - 1} more sensors have none" if not found and lacking > 1 else ""
            raise TableError(f"{file}: {expected}; found {there}{others}")
        unit = None if found[0] == sensor.name else split_unit(found[0])[1]
        if unit is not None and sensor.unit is not None and unit != sensor.unit:
            raise TableError(f"{file}, column '{found[0]}': expected the sensor '{sensor.name}' in {sensor.unit}")
        columns.append(found[0])
    added = added_names(manifest, wanted)
    for name in added:
        if name in names:
            raise TableError(f"{file}: there is a column '{name}' already; expected none of {', '.join(added)}")
    return tuple(columns)


def _columns_of(sensor: Sensor, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if sensor.name in {name, split_unit(name)[0]}]


def score_columns(x: Array, model: Model, wanted: Wanted) -> Columns:
    """The columns of rows x [n, D]; no row's depend on the rows beside it.

    Raises:
        InvalidContent: `rate-out-of-range`.
    """
    scores = model.engine.score(x)
    verdict = model.calibration.judge(x, scores.score, wanted.false_alarm_rate)
    numbers = [scores.score, verdict.p_value]
    if wanted.explain:
        numbers += [scores.kl, scores.per_sensor]
    return Columns(np.column_stack(numbers), verdict.alarm)
