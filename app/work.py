"""What is to be scored of a file, piece by piece, and what has been: the words between reading, scoring and writing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.hold import Alarms
from app.model import Model
from app.pieces import Place


class Part(Protocol):
    """A piece that was scored."""

    @property
    def end(self) -> Place:
        """Where the rows behind it begin."""

    @property
    def alarm(self) -> Alarms:
        """Of each row by itself, [n]."""

    def written(self, held: Alarms) -> bytes:
        """What it adds to the output, the alarms being those that are held."""


class Work(Protocol):
    """A piece that is to be scored, here or in another process."""

    def score(self, model: Model) -> Part:
        """Score it.

        Raises:
            TableError: a row of it cannot be scored.
            InvalidContent: `rate-out-of-range`.
        """


@dataclass(frozen=True)
class Extent:
    """How much there is."""

    total: int
    unit: str
    """Bytes of text, rows of Parquet."""
    place: str
    """What a place in it is called: a line of text, a row of Parquet."""


class Source(Protocol):
    """A table that is being read."""

    @property
    def extent(self) -> Extent:
        """All of it."""

    @property
    def begin(self) -> Place:
        """Where its rows begin."""

    @property
    def head(self) -> bytes:
        """What comes before the rows in the output."""

    def work(self, begin: Place) -> Iterator[Work]:
        """The rows from a place on."""

    def finish(self, partial: Path, target: Path) -> None:
        """Put the whole output, of which `partial` holds every row, in its place."""
