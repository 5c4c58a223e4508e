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
from app.diagnosis import FLOAT32_LIMIT, Fields, Group, OneRow, Option, RowsField, Shape, explain
from app.errors import MalformedBody

MAX_SEED = 2**63 - 1
MAX_DRAWS = 1024
SEED = "an integer from 0 to 2^63 - 1"

Row = list[float | None] | dict[str, float | None]
Answer = Mapping[str, npt.NDArray[np.generic] | list[float] | str | int | float]


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


Body = TypeVar("Body", _RowsBody, _ScoreBody, _SampleBody)


@dataclass(frozen=True)
class Rows:
    """Rows of readings."""

    x: Array
    """[n, D], NaN where a sensor is missing."""
    complete: bool
    """Whether none is."""


@dataclass(frozen=True)
class ScoreQuestion:
    """What `/score` is asked; an option that is not given is None."""

    rows: Rows
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


def read_rows(body: bytes, shape: Shape) -> Rows:
    """The rows of `{"rows": …}`.

    Raises:
        MalformedBody: `empty-body`, `invalid-json` or `duplicate-key`.
        InvalidContent: with the code and the places of what is wrong.
    """
    reading = Reading(body, _ROWS, shape)
    return reading.rows(reading.decoded(_ROWS_DECODER).rows)


def read_score(body: bytes, shape: Shape) -> ScoreQuestion:
    """The question in a body of `/score`; raises as `read_rows` does."""
    reading = Reading(body, _SCORE, shape)
    read = reading.decoded(_SCORE_DECODER)
    if read.bound is not UNSET and not (_is_draws(read.bound.draws) and _is_seed(read.bound.seed)):
        reading.refuse()
    return ScoreQuestion(
        rows=reading.rows(read.rows),
        false_alarm_rate=None if read.false_alarm_rate is UNSET else read.false_alarm_rate,
        explain=read.explain is True,
        bound=None if read.bound is UNSET else Bound(int(read.bound.draws), int(read.bound.seed)),
        fdr=None if read.fdr is UNSET else read.fdr,
    )


def read_sample(body: bytes, shape: Shape) -> SampleQuestion:
    """The question in a body of `/sample`; raises as `read_rows` does."""
    reading = Reading(body, _SAMPLE, shape)
    read = reading.decoded(_SAMPLE_DECODER)
    if not (read.count is UNSET or _is_count(read.count)) or not (read.seed is UNSET or _is_seed(read.seed)):
        reading.refuse()
    return SampleQuestion(
        count=1 if read.count is UNSET else int(read.count),
        seed=None if read.seed is UNSET else int(read.seed),
        given=None if read.given is UNSET else reading.rows([read.given]).x,
    )


def write(answer: Answer) -> bytes:
    """An answer as JSON; arrays as nested arrays.

    A number that is not finite has no JSON, and writing null for it would be a lie: it is our fault, and raises.
    """
    written = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if b":null" in written or b"[null" in written or b",null" in written:
        values = {name: value for name, value in answer.items() if isinstance(value, np.ndarray | float)}
        names = [name for name, value in values.items() if not np.isfinite(value).all()]
        raise FloatingPointError(f"the answer's {' and '.join(names)} is not finite")
    return written


@dataclass(frozen=True)
class Reading:
    """One body, being read."""

    body: bytes
    fields: Fields
    shape: Shape

    def decoded(self, decoder: msgspec.json.Decoder[Body]) -> Body:
        """The body's fields, every name in it once."""
        if not self.body:
            raise MalformedBody("empty-body", "The body is empty; expected a JSON object.")
        # A body with more brackets has too many rows or nests them, and is never built in memory.
        if len(self.body) > self.shape.most_brackets and _brackets(self.body) > self.shape.most_brackets:
            self.refuse()
        try:
            read = decoder.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.refuse()
        # The decoder keeps the last of two equal names. Our bodies hold no text but names, so quotes count the names.
        if self.body.count(b'"') != 2 * _names_in(read):
            explain(self.body, self.fields, self.shape)
        return read

    def rows(self, rows: list[Row]) -> Rows:
        """The matrix of rows, in the sensors' order."""
        width = len(self.shape.sensors)
        if not 0 < len(rows) <= self.shape.max_rows:
            self.refuse()
        try:
            x = np.array(rows, dtype=np.float64)
        except (TypeError, ValueError):  # rows by name, or of different lengths
            x = np.array(self._by_position(rows), dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != width:
            self.refuse()
        size = np.abs(x)
        largest = size.max()
        if largest < FLOAT32_LIMIT:
            return Rows(x, complete=True)
        if (size >= FLOAT32_LIMIT).any():
            self.refuse()
        return Rows(x, complete=False)

    def _by_position(self, rows: list[Row]) -> list[list[float | None]]:
        sensors, known = self.shape.sensors, self.shape.known
        if any(not row.keys() <= known if isinstance(row, dict) else len(row) != len(sensors) for row in rows):
            self.refuse()
        return [[row.get(name) for name in sensors] if isinstance(row, dict) else row for row in rows]

    def refuse(self) -> NoReturn:
        """Say what is wrong."""
        explain(self.body, self.fields, self.shape)
        raise MalformedBody("invalid-json", "The body cannot be read as the JSON that is documented here.")


def _brackets(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _names_in(read: _RowsBody | _ScoreBody | _SampleBody) -> int:
    match read:
        case _RowsBody(rows):
            return 1 + _names_in_rows(rows)
        case _ScoreBody(rows, false_alarm_rate, explained, bound, fdr):
            options = (false_alarm_rate, explained, bound, bound, bound, fdr)  # a bound has two names in it
            return 1 + len(options) - options.count(UNSET) + _names_in_rows(rows)
        case _SampleBody(count, seed, given):
            names = 3 - (count, seed, given).count(UNSET)
            return names + (0 if given is UNSET else _names_in_rows([given]))


def _names_in_rows(rows: list[Row]) -> int:
    return sum([len(row) for row in rows if type(row) is dict])


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


_ROWS: Fields = {"rows": RowsField()}
_SCORE: Fields = {
    "rows": RowsField(),
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
_SAMPLE: Fields = {
    "count": Option("a positive integer", _is_count),
    "seed": Option(SEED, _is_seed),
    "given": OneRow(),
}
_ROWS_DECODER = msgspec.json.Decoder(_RowsBody)
_SCORE_DECODER = msgspec.json.Decoder(_ScoreBody)
_SAMPLE_DECODER = msgspec.json.Decoder(_SampleBody)
