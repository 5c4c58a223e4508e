"""What the rows of a request must look like, for one model."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from msgspec import Meta

FLOAT32_LIMIT = 2.0**128 - 2.0**103
"""The smallest double that rounds to infinity as a float32."""

Reading = Annotated[float, Meta(gt=-FLOAT32_LIMIT, lt=FLOAT32_LIMIT)]
"""What a sensor may read, in its unit."""
Row = list[Reading | None] | dict[str, Reading | None]
"""By position or by name, null where a sensor is missing."""


@dataclass(frozen=True)
class Shape:
    """What rows must look like: the sensors in their order, and how many rows there may be."""

    sensors: tuple[str, ...]
    max_rows: int

    @cached_property
    def known(self) -> frozenset[str]:
        """The sensors' names."""
        return frozenset(self.sensors)

    def unknown(self, name: str) -> str:
        """What to tell of a name that no sensor has: the one that is meant, where it differs in case or has a unit."""
        meant = self._spoken.get(name.partition(" [")[0].strip().casefold())
        return "the model has no such sensor; " + (f"it has {meant}" if meant else "GET /models/{name} names them")

    @cached_property
    def _spoken(self) -> Mapping[str, str]:
        return {name.casefold(): name for name in self.sensors}

    @cached_property
    def most_brackets(self) -> int:
        """In a body with so many rows: a row opens one, and each of its sensors at most those in its name."""
        return self.max_rows * (1 + sum(name.count("[") + name.count("{") for name in self.sensors)) + 4

    @cached_property
    def most_commas(self) -> int:
        """In a row and behind it."""
        return len(self.sensors) + sum(name.count(",") for name in self.sensors)

    @cached_property
    def bracketed(self) -> bool:
        """Whether a name has a bracket in it, so that one need not end a row."""
        return any(bracket in name for name in self.sensors for bracket in "[]{}")
