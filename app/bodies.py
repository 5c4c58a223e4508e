"""The bodies that a verb may be asked with: their fields, what these may hold, and how each is decoded."""

import math
from typing import TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from app.cursor import Scalar
from app.fields import Fields, Group, OneRow, Option, RowsField
from app.shape import Row

MAX_SEED = 2**63 - 1
MAX_DRAWS = 1024
SEED = "an integer from 0 to 2^63 - 1"


class BoundBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`bound` of a `/score`."""

    draws: int | float
    seed: int | float


class RowsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows and nothing else."""

    rows: list[Row]

    def names(self) -> int:
        """How many names it was read from, if each was in it once."""
        return 1 + names_in(self.rows)


class ScoreBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What `/score` may be asked."""

    rows: list[Row]
    false_alarm_rate: float | UnsetType = UNSET
    explain: bool | UnsetType = UNSET
    bound: BoundBody | UnsetType = UNSET
    fdr: float | UnsetType = UNSET

    def names(self) -> int:
        """How many names it was read from, if each was in it once."""
        bound = self.bound  # with two names in it
        options = (self.false_alarm_rate, self.explain, bound, bound, bound, self.fdr)
        return 1 + len(options) - options.count(UNSET) + names_in(self.rows)


class SampleBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What `/sample` may be asked."""

    count: int | float | UnsetType = UNSET
    seed: int | float | UnsetType = UNSET
    given: Row | UnsetType = UNSET

    def names(self) -> int:
        """How many names it was read from, if each was in it once."""
        names = 3 - (self.count, self.seed, self.given).count(UNSET)
        return names + (0 if self.given is UNSET else names_in([self.given]))


Body = TypeVar("Body", RowsBody, ScoreBody, SampleBody)


def names_in(rows: list[Row]) -> int:
    """How many names rows were read from."""
    return sum([len(row) for row in rows if type(row) is dict])


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Scalar, least: int, most: float) -> bool:
    """As JSON Schema has it: 5.0 is an integer, since JSON knows numbers only."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0 and least <= value <= most


def is_count(value: Scalar) -> bool:
    """Whether it is a positive integer."""
    return _is_integer(value, 1, math.inf)


def is_draws(value: Scalar) -> bool:
    """Whether it is an integer from 1 to `MAX_DRAWS`."""
    return _is_integer(value, 1, MAX_DRAWS)


def is_seed(value: Scalar) -> bool:
    """Whether it is an integer from 0 to `MAX_SEED`."""
    return _is_integer(value, 0, MAX_SEED)


ROWS: Fields = {"rows": RowsField()}
SCORE: Fields = {
    "rows": RowsField(),
    "false_alarm_rate": Option("a number", _is_number),
    "explain": Option("true or false", lambda value: isinstance(value, bool)),
    "bound": Group(
        {
            "draws": Option(f"an integer from 1 to {MAX_DRAWS}", is_draws, required=True),
            "seed": Option(SEED, is_seed, required=True),
        }
    ),
    "fdr": Option("a number", _is_number),
}
SAMPLE: Fields = {
    "count": Option("a positive integer", is_count),
    "seed": Option(SEED, is_seed),
    "given": OneRow(),
}
ROWS_DECODER = msgspec.json.Decoder(RowsBody)
SCORE_DECODER = msgspec.json.Decoder(ScoreBody)
SAMPLE_DECODER = msgspec.json.Decoder(SampleBody)
