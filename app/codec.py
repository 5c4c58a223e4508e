"""Bytes to questions and answers to bytes: strict, and fast where nothing is wrong.

A body is decoded once, by `reading`, into typed values and a float64 matrix. What is made anew for each request is a
msgspec Struct: that is as frozen as a frozen dataclass and faster to make.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import UNSET, Struct

from app.array import Array
from app.bodies import (
    ROWS,
    ROWS_DECODER,
    SAMPLE,
    SAMPLE_DECODER,
    SCORE,
    SCORE_DECODER,
    is_count,
    is_draws,
    is_seed,
)
from app.reading import Reading, Rows
from app.shape import Shape

Answer = Mapping[str, npt.NDArray[np.generic] | list[float] | str | int | float]


class Bound(Struct, frozen=True):
    """How tightly to bound log p(x): with how many draws, from which seed."""

    draws: int
    seed: int


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
    reading = Reading.of(body, ROWS, shape)
    return reading.rows(reading.decoded(ROWS_DECODER).rows)


def read_score(body: bytes, shape: Shape) -> ScoreQuestion:
    """The question in a body of `/score`; raises as `read_rows` does."""
    reading = Reading.of(body, SCORE, shape)
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
    reading = Reading.of(body, SAMPLE, shape)
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
