"""Bytes to questions and answers to bytes: strict, and fast where nothing is wrong.

A body is decoded once into typed values and a float64 matrix. Only when something about it is odd does `diagnosis` read
it again, place by place, to say what.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
from msgspec import UNSET, Struct, UnsetType

from app.array import Array
from app.cursor import Scalar
from app.diagnosis import FLOAT32_LIMIT, Fields, Group, OneRow, Option, Rows, Shape, explain
from app.errors import MalformedBody

MAX_SEED = 2**63 - 1
MAX_DRAWS = 1024
SEED = "an integer from 0 to 2^63 - 1"

Row = list[float | None] | dict[str, float | None]
Answer = Mapping[str, npt.NDArray[np.generic] | str | int | float]


class _BoundBody(Struct, frozen=True, forbid_unknown_fields=True):
    draws: int | float
    seed: int | float


class _RowsBody(Struct, frozen=True, forbid_unknown_fields=True):
    rows: list[Row]


class _ScoreBody(Struct, frozen=True, forbid_unknown_fields=True):
    rows: list[Row]
    false_alarm_rate: float | UnsetType = UNSET
    explain: bool | UnsetType = UNSET
    bound: _BoundBody | UnsetType = UNSET
    fdr: float | UnsetType = UNSET


class _SampleBody(Struct, frozen=True, forbid_unknown_fields=True):
    count: int | float | UnsetType = UNSET
    seed: int | float | UnsetType = UNSET
    given: Row | UnsetType = UNSET


@dataclass(frozen=True)
class Bound:
    """How tightly to bound log p(x): with how many draws, from which seed."""

    draws: int
    seed: int


@dataclass(frozen=True)
class ScoreQuestion:
    """What `/score` is asked: rows x [n, D], NaN where missing; an option that is not given is None."""

    x: Array
    false_alarm_rate: float | None
    explain: bool
    bound: Bound | None
    fdr: float | None


@dataclass(frozen=True)
class SampleQuestion:
    """What `/sample` is asked; `given` is a row [1, D] to condition on, NaN where it is free."""

    count: int
    seed: int | None
    given: Array | None


Body = TypeVar("Body", _RowsBody, _ScoreBody, _SampleBody)


def read_rows(body: bytes, shape: Shape) -> Array:
    """The rows of `{"rows": …}` as x [n, D], NaN where a sensor is missing.

    Raises:
        MalformedBody: `empty-body`, `invalid-json` or `duplicate-key`.
        InvalidContent: with the code and the places of what is wrong.
    """
    fields: Fields = {"rows": Rows()}
    return _matrix(_decode(body, _RowsBody, fields, shape).rows, body, fields, shape)


def read_score(body: bytes, shape: Shape) -> ScoreQuestion:
    """The question in a body of `/score`; raises as `read_rows` does."""
    fields: Fields = {
        "rows": Rows(),
        "false_alarm_rate": Option("a number", _is_number),
        "explain": Option("true or false", lambda value: isinstance(value, bool)),
        "bound": Group(
            {
                "draws": Option(f"an integer from 1 to {MAX_DRAWS}", _is_draws, required=True),
                "seed": Option(SEED, _is_seed, required=True),
            }
        ),
        "fdr": Option("a number", _is_number),
    }
    read = _decode(body, _ScoreBody, fields, shape)
    if read.bound is not UNSET and not (_is_draws(read.bound.draws) and _is_seed(read.bound.seed)):
        _refuse(body, fields, shape)
    return ScoreQuestion(
        x=_matrix(read.rows, body, fields, shape),
        false_alarm_rate=None if read.false_alarm_rate is UNSET else read.false_alarm_rate,
        explain=read.explain is True,
        bound=None if read.bound is UNSET else Bound(int(read.bound.draws), int(read.bound.seed)),
        fdr=None if read.fdr is UNSET else read.fdr,
    )


def read_sample(body: bytes, shape: Shape) -> SampleQuestion:
    """The question in a body of `/sample`; raises as `read_rows` does."""
    fields: Fields = {
        "count": Option("a positive integer", _is_count),
        "seed": Option(SEED, _is_seed),
        "given": OneRow(),
    }
    read = _decode(body, _SampleBody, fields, shape)
    if not (read.count is UNSET or _is_count(read.count)) or not (read.seed is UNSET or _is_seed(read.seed)):
        _refuse(body, fields, shape)
    return SampleQuestion(
        count=1 if read.count is UNSET else int(read.count),
        seed=None if read.seed is UNSET else int(read.seed),
        given=None if read.given is UNSET else _matrix([read.given], body, fields, shape),
    )


def write(answer: Answer) -> bytes:
    """An answer as JSON; arrays as nested arrays.

    A number that is not finite has no JSON, and writing null for it would be a lie: it is our fault, and raises.
    """
    for name, value in answer.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and not np.isfinite(value).all():
            raise FloatingPointError(f"the answer's {name} is not finite")
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _decode(body: bytes, kind: type[Body], fields: Fields, shape: Shape) -> Body:
    if not body:
        raise MalformedBody("empty-body", "The body is empty; expected a JSON object.")
    # A row opens one bracket and each of its sensors at most those in its name: a body with more has too many rows or
    # nests them, and is never built in memory.
    brackets = shape.max_rows * (1 + sum(name.count("[") + name.count("{") for name in shape.sensors)) + 4
    if body.count(b"[") + body.count(b"{") > brackets:
        _refuse(body, fields, shape)
    try:
        read = msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _refuse(body, fields, shape)
    # The decoder keeps the last of two equal names. Our bodies hold no text but names, so quotes count the names.
    if body.count(b'"') != 2 * _names_in(read):
        explain(body, fields, shape)
    return read


def _names_in(value: object) -> int:
    if isinstance(value, dict):
        return len(value)
    if isinstance(value, list):
        return sum(len(row) for row in value if isinstance(row, dict))
    if isinstance(value, Struct):
        given = [field for field in (getattr(value, name) for name in value.__struct_fields__) if field is not UNSET]
        return len(given) + sum(map(_names_in, given))
    return 0


def _matrix(rows: list[Row], body: bytes, fields: Fields, shape: Shape) -> Array:
    sensors = shape.sensors
    known = frozenset(sensors)
    if not 0 < len(rows) <= shape.max_rows or any(isinstance(row, dict) and not row.keys() <= known for row in rows):
        _refuse(body, fields, shape)
    ordered = [[row.get(name) for name in sensors] if isinstance(row, dict) else row for row in rows]
    if any(len(row) != len(sensors) for row in ordered):
        _refuse(body, fields, shape)
    x = np.array(ordered, dtype=np.float64)
    if (np.abs(x) >= FLOAT32_LIMIT).any():
        _refuse(body, fields, shape)
    return x


def _refuse(body: bytes, fields: Fields, shape: Shape) -> NoReturn:
    explain(body, fields, shape)
    raise MalformedBody("invalid-json", "The body cannot be read as the JSON that is documented here.")


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Scalar, least: int, most: float) -> bool:
    """As JSON Schema has it: 5.0 is an integer, since JSON knows numbers only."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0 and least <= value <= most


def _is_count(value: Scalar) -> bool:
    return _is_integer(value, 1, math.inf)


def _is_draws(value: Scalar) -> bool:
    return _is_integer(value, 1, MAX_DRAWS)


def _is_seed(value: Scalar) -> bool:
    return _is_integer(value, 0, MAX_SEED)
