"""A number that was measured several times: its median, and the least and the most."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """Of one number, over the repeats."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """At least one value."""
        return cls(median(values), min(values), max(values))

    def text(self, digits: int = 3) -> str:
        """`median (least-most)`, each to so many significant digits."""
        return f"{number(self.median, digits)} ({number(self.least, digits)}-{number(self.most, digits)})"


def number(value: float, digits: int = 3) -> str:
    """To so many significant digits, thousands apart: 0.123, 45.6, 12,300."""
    rounded = float(f"{value:.{digits}g}")
    whole = math.floor(math.log10(abs(rounded))) + 1 if rounded else 1
    return f"{rounded:,.{max(0, digits - whole)}f}"
