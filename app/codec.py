"""Bytes to questions and answers to bytes: strict, and fast where nothing is wrong.

A body is decoded once into typed values and a float64 matrix. Only when something about it is odd does `diagnosis` read
it again, place by place, to say what. What is made anew for each request is a msgspec Struct: that is as frozen as a
frozen dataclass and faster to make.
"""

from collections.abc import Mapping
from typing import NoReturn

import msgspec
import numpy as np
import numpy.typing as npt
import orjson
from msgspec import UNSET, Struct

from app.array import Array, has_nan
from app.bodies import (
    ROWS,
    ROWS_DECODER,
    SAMPLE,
    SAMPLE_DECODER,
    SCORE,
    SCORE_DECODER,
    Body,
    Row,
    is_count,
    is_draws,
    is_seed,
)
from app.diagnosis import Fields, Shape, explain
from app.errors import MalformedBody

Answer = Mapping[str, npt.NDArray[np.generic] | list[float] | str | int | float]


class Bound(Struct, frozen=True):
    """How tightly to bound log p(x): with how many draws, from which seed."""

    draws: int
    seed: int


class Rows(Struct, frozen=True):
    """Rows of readings."""

    x: Array
    """[n, D], NaN where a sensor is missing."""
    complete: bool
    """Whether none is."""


class ScoreQuestion(Struct, frozen=True):
    """What `/score` is asked; an option that is not given is None."""

    rows: Rows
    false_alarm_rate: float | None
    explain: bool
    bound: Bound | None
    fdr: float | None


class SampleQuestion(Struct, frozen=True):
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
    reading = Reading(body, ROWS, shape)
    return reading.rows(reading.decoded(ROWS_DECODER).rows)


def read_score(body: bytes, shape: Shape) -> ScoreQuestion:
    """The question in a body of `/score`; raises as `read_rows` does."""
    reading = Reading(body, SCORE, shape)
    read = reading.decoded(SCORE_DECODER)
    if read.bound is not UNSET and not (is_draws(read.bound.draws) and is_seed(read.bound.seed)):
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
    reading = Reading(body, SAMPLE, shape)
    read = reading.decoded(SAMPLE_DECODER)
    if not (read.count is UNSET or is_count(read.count)) or not (read.seed is UNSET or is_seed(read.seed)):
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
    if b"null" in written:  # or it is in a model's name
        values = {name: value for name, value in answer.items() if isinstance(value, np.ndarray | list | float)}
        names = [name for name, value in values.items() if not np.isfinite(value).all()]
        if names:
            raise FloatingPointError(f"the answer's {' and '.join(names)} is not finite")
    return written


class Reading(Struct, frozen=True):
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
        if self.body.count(b'"') != 2 * read.names():
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
        return Rows(x, complete=not has_nan(x))

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
