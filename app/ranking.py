"""From a score to its p-value and back: a rank among held-out scores and, above the 98 % level, a fitted tail.

p = (1 + #{held-out score ≥ score}) / (n + 1): at most α of healthy rows have p ≤ α when they are exchangeable with the
held-out rows (Vovk, Gammerman & Shafer 2005; Bates et al. 2023).

The tail is laid through knots a hundredth of a p-value apart and is straight between them. A straight line needs
nothing but +, − and ×, which round without changing order: p never rises with the score, to the last bit, and the score
at which an alarm begins is one exact number. The line is above the tail by at most an 80,000th of p.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from app.array import Array
from app.errors import Fault, InvalidContent
from app.manifest import Tail
from app.tail import tail_scores

Number = TypeVar("Number", float, Array)

MAX_RATE = 0.5
EPSILON = 2.0**-52
"""Nats: rounding of a score below 1. A threshold just above 0 is this, not 5e-324."""
STEP = 0.01
"""Between the p-values of two knots, relative."""


@dataclass(frozen=True)
class Ranking:
    """Held-out scores, ascending [n] in nats, and the tail that goes on where they end."""

    held_out: Array
    tail: Tail | None

    @property
    def least_rate(self) -> float:
        """The smallest p-value that can be had, and the smallest false-alarm rate that may be asked for."""
        return 1 / (len(self.held_out) + 1) if self.tail is None else self.tail.least_rate

    def p_value(self, score: Array) -> Array:
        """The p-value of each score [m]: from `least_rate` to 1, never rising with the score."""
        at_least = len(self.held_out) - np.searchsorted(self.held_out, score, side="left")
        rank = np.asarray((1 + at_least) / (len(self.held_out) + 1))
        if self.tail is None:
            return rank
        beyond = np.flatnonzero(score > self.tail.score)
        if len(beyond):
            rank[beyond] = self._tail_p_value(score[beyond])
        return rank

    def require(self, false_alarm_rate: float) -> None:
        """Refuse what these rows cannot answer.

        Raises:
            InvalidContent: `rate-out-of-range` for a rate below `least_rate` or above 0.5.
        """
        if not self.least_rate <= false_alarm_rate <= MAX_RATE:
            detail = f"expected from {self.least_rate:.6g} to {MAX_RATE}"
            if 0 < false_alarm_rate < self.least_rate:
                detail += f": {len(self.held_out)} held-out rows with the same sensors cannot vouch for a smaller rate"
            place = (Fault("/false_alarm_rate", detail),)
            raise InvalidContent("rate-out-of-range", f"/false_alarm_rate: {detail}.", place)

    def threshold(self, false_alarm_rate: float) -> float:
        """The score, in nats, from which on the p-value is at most the rate.

        Raises:
            InvalidContent: as `require`.
        """
        self.require(false_alarm_rate)
        if self.tail is not None and false_alarm_rate < self.tail.p_value:
            return self._tail_threshold(false_alarm_rate)
        n = len(self.held_out)
        attainable = (1 + np.arange(n + 1)) / (n + 1)
        allowed_above = int(np.searchsorted(attainable, false_alarm_rate, side="right"))
        highest_quiet = float(self.held_out[n - allowed_above])
        return max(math.nextafter(highest_quiet, math.inf), highest_quiet + EPSILON)

    @cached_property
    def _line(self) -> tuple[Array, Array, Array]:
        """The knots' scores, strictly rising, their p-values, strictly falling, and the slopes between them."""
        assert self.tail is not None
        pieces = int(np.ceil(np.log(self.tail.p_value / self.tail.least_rate) / STEP))
        p = np.geomspace(self.tail.p_value, self.tail.least_rate, pieces + 1)
        score = np.maximum.accumulate(tail_scores(self.tail, p))
        apart = np.append(True, np.diff(score) > 0)
        score, p = score[apart], p[apart]
        p[-1] = self.tail.least_rate
        return score, p, np.diff(p) / np.diff(score)

    def _tail_p_value(self, score: Array) -> Array:
        knots, p, slope = self._line
        piece = np.minimum(np.searchsorted(knots, score, side="right") - 1, len(slope) - 1)
        line = _straight(score, knots[piece], p[piece], slope[piece])
        return np.asarray(np.maximum(line, p[piece + 1]))

    def _tail_threshold(self, rate: float) -> float:
        """Bisected to the last bit: below it the p-value is above the rate."""
        knots, p, slope = self._line
        piece = int(np.searchsorted(-p, -rate, side="left")) - 1
        begin, above = float(knots[piece]), float(knots[piece + 1])
        first, fall = float(p[piece]), float(slope[piece])
        below = begin
        while below < (middle := below + (above - below) / 2) < above:
            if _straight(middle, begin, first, fall) <= rate:
                above = middle
            else:
                below = middle
        return above


def _straight(score: Number, begin: Number, first: Number, slope: Number) -> Number:
    """The p-value on the line that leaves `begin` with the p-value `first`."""
    return first + (score - begin) * slope
