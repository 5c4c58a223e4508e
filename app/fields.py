"""What the fields of a body may hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from app.cursor import Scalar


@dataclass(frozen=True)
class Option:
    """A field that holds one plain value."""

    expected: str
    accepts: Callable[[Scalar], bool]
    required: bool = False


@dataclass(frozen=True)
class RowsField:
    """The field that holds the rows."""

    required: bool = True


@dataclass(frozen=True)
class OneRow:
    """A field that holds one row."""

    required: bool = False


@dataclass(frozen=True)
class Group:
    """A field that holds an object of further fields."""

    fields: Mapping[str, Option]
    required: bool = False


Fields = Mapping[str, Option | RowsField | OneRow | Group]
