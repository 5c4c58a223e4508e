"""A table in, the same rows out with their scores: what `nelbo score` does."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.array import Array
from app.errors import TableError
from app.hold import Hold
from app.manifest import Manifest
from app.model import Model
from app.parquet import ParquetTable
from app.tables import Column, Table, TextTable, read_table, split_unit


@dataclass(frozen=True)
class Wanted:
    """What to add to a table's rows."""

    false_alarm_rate: float
    explain: bool
    hold: Hold
    """Which alarms to tell."""


def score_file(file: Path, out: Path | None, model: Model, wanted: Wanted) -> None:
    """Write the rows of `file` to `out` (stdout where it is None) with columns added: see `score_columns`.

    Raises:
        TableError: the file cannot be read or lacks a sensor, a name is taken already, or `out` cannot be written.
        InvalidContent: the false-alarm rate is outside what the held-out rows can vouch for.
    """
    table = read_table(file)
    sensors = sensor_columns(table, model.manifest)
    x = table.numbers(sensors)
    added = score_columns(x, model, wanted)
    for name in added.keys() & set(table.names):
        raise TableError(f"{file}: there is a column '{name}' already; expected none of {', '.join(added)}")
    if isinstance(table, ParquetTable):
        _write_parquet(table, added, out)
    else:
        _write_text(table, added, sensors, out)


def sensor_columns(table: Table, manifest: Manifest) -> list[str]:
    """The table's columns that hold the model's sensors, in the model's order, with or without ` [unit]`.

    Raises:
        TableError: a sensor has no column or two, or its column has another unit than the model was trained on.
    """
    columns = []
    for sensor in manifest.sensors:
        found = [name for name in table.names if sensor.name in {name, split_unit(name)[0]}]
        if len(found) != 1:
            there = " and ".join(f"'{name}'" for name in found) or f"{', '.join(table.names)}"
            raise TableError(f"{table.file}: expected one column '{sensor.name}', a sensor of the model; found {there}")
        unit = None if found[0] == sensor.name else split_unit(found[0])[1]
        if unit is not None and sensor.unit is not None and unit != sensor.unit:
            raise TableError(f"{table.file}, column '{found[0]}': expected the sensor '{sensor.name}' in {sensor.unit}")
        columns.append(found[0])
    return columns


def score_columns(x: Array, model: Model, wanted: Wanted) -> dict[str, Column]:
    """score, p_value and held alarm of rows x [n, D]; with `explain` also kl and the nats of each sensor. All [n].

    Rows in pieces, one after the other, have the columns that they have together: `wanted.hold` remembers.

    Raises:
        InvalidContent: `rate-out-of-range`.
    """
    scores = model.engine.score(x)
    verdict = model.calibration.judge(x, scores.score, wanted.false_alarm_rate)
    alarm = wanted.hold.over(verdict.alarm)
    columns: dict[str, Column] = {"score": scores.score, "p_value": verdict.p_value, "alarm": alarm}
    if wanted.explain:
        columns["kl"] = scores.kl
        names = model.manifest.sensor_names
        columns |= {f"nats:{name}": nats for name, nats in zip(names, scores.per_sensor.T, strict=True)}
    return columns


def _write_text(table: TextTable, added: Mapping[str, Column], sensors: list[str], out: Path | None) -> None:
    lines = table.lines_with(added, table.decimal(sensors))
    if out is None:
        _write_stdout(lines)
        return
    with _replacing(out) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(lines)


def _write_stdout(lines: Iterator[str]) -> None:
    try:
        # UTF-8 as the file that was read, whatever the terminal's locale.
        with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="\n", closefd=False) as stdout:
            stdout.writelines(lines)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TableError(f"stdout: {error.strerror or error}") from error


def _write_parquet(table: ParquetTable, added: Mapping[str, Column], out: Path | None) -> None:
    if out is None:
        raise TableError(f"{table.file}: the scores of a Parquet file go to a file; expected -o OUT")
    with _replacing(out) as partial:
        table.write_with(added, partial)


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A sibling of `out` to write to; it takes `out`'s place only when all of it is written."""
    target = out.resolve()
    if target.exists() and not target.is_file():
        raise TableError(f"{out}: not a plain file; without -o the rows go to stdout")
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise TableError(f"{out}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
