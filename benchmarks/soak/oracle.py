"""What the standard library and the documented rules make of a body: slow, plain, and written without a look at app."""

import json
import math
from collections.abc import Sequence
from typing import Any

Row = list[float]
"""A row's readings, NaN where a sensor is missing."""

LIMIT = 2.0**128 - 2.0**103
"""The smallest double that rounds to infinity as a float32."""


def rows_of(body: bytes, sensors: Sequence[str], most: int) -> list[Row] | None:
    """The rows that `{"rows": …}` asks about; None where it has to be refused."""
    read = _loaded(body, lambda constant: _refuse(constant))
    if not isinstance(read, dict) or read.keys() != {"rows"}:
        return None
    rows = read["rows"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= most:
        return None
    placed = [_placed(row, sensors) for row in rows]
    return None if any(row is None for row in placed) else [row for row in placed if row is not None]


def tensor_of(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    """The JSON of an inference request, where NaN stands for null; None where it has to be refused."""
    return _loaded(text, lambda constant: None if constant == "NaN" else _refuse(constant))


def values_of(data: Any) -> Row:  # noqa: ANN401 - any JSON
    """The values in a tensor's data, nested or not."""
    if isinstance(data, list):
        return [value for item in data for value in values_of(item)]
    return [math.nan if data is None else float(data)]


def _loaded(body: bytes, constant: Any) -> Any:  # noqa: ANN401 - json's hook
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_constant=constant, parse_int=float, parse_float=float
        )
    except (ValueError, RecursionError):
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name is there twice")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _placed(row: Any, sensors: Sequence[str]) -> Row | None:  # noqa: ANN401 - any JSON
    if isinstance(row, dict):
        if not row.keys() <= set(sensors):
            return None
        row = [row.get(name) for name in sensors]
    if not isinstance(row, list) or len(row) != len(sensors):
        return None
    if any(value is not None and not (isinstance(value, float) and abs(value) < LIMIT) for value in row):
        return None
    return [math.nan if value is None else value for value in row]
