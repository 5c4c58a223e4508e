"""Scores to p-values, thresholds and alarms: split conformal ranks among held-out scores.

p = (1 + #{held-out score ≥ score}) / (n + 1): at most α of healthy rows have p ≤ α when they are exchangeable with the
held-out rows (Vovk, Gammerman & Shafer 2005; Bates et al. 2023). A row with missing sensors is ranked among the
held-out rows scored with the same sensors missing, since every sensor that goes takes its own nats with it.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.array import Array
from app.engine import Engine
from app.errors import Fault, InvalidContent

MAX_RATE = 0.5
PATTERNS_KEPT = 256
"""Patterns of missing sensors whose held-out scores stay in memory, the least recently asked for goes first."""


@dataclass(frozen=True)
class Verdict:
    """Per row, all [n]: its p-value, the score at which an alarm begins, whether it does, and the sensors it has."""

    p_value: Array
    threshold: Array
    alarm: npt.NDArray[np.bool_]
    n_observed: npt.NDArray[np.int64]


class Calibration:
    """The held-out rows of one bundle and their scores."""

    def __init__(self, file: Path, engine: Engine) -> None:
        """Read `scores` [n] and `rows` [≤ 2000, D] from calibration.npz; `engine` scores these under other patterns."""
        with np.load(file, allow_pickle=False) as stored:
            self._complete: Array = np.sort(stored["scores"])
            self._rows: Array = stored["rows"]
        self._engine = engine
        self._held_out = lru_cache(maxsize=PATTERNS_KEPT)(self._score_under)

    def judge(self, x: Array, score: Array, false_alarm_rate: float, max_patterns: int | None = None) -> Verdict:
        """Rank each row's score among the held-out scores under the row's own pattern of missing sensors.

        Raises:
            InvalidContent: `rate-out-of-range` for a rate outside [1/(n+1), 0.5]; `too-many-patterns` for more than
                `max_patterns` different patterns in one question.
        """
        observed = ~np.isnan(x)
        patterns, pattern_of_row = np.unique(observed, axis=0, return_inverse=True)
        if max_patterns is not None and len(patterns) > max_patterns:
            detail = f"found {len(patterns)} patterns of missing sensors, expected at most {max_patterns} a request"
            raise InvalidContent("too-many-patterns", f"/rows: {detail}.", (Fault("/rows", detail),))
        p_value, threshold = np.empty(len(x)), np.empty(len(x))
        for index, pattern in enumerate(patterns):
            held_out = self._held_out(pattern.tobytes())
            here = pattern_of_row.ravel() == index
            p_value[here] = conformal_p(held_out, score[here])
            threshold[here] = alarm_threshold(held_out, false_alarm_rate)
        return Verdict(p_value, threshold, p_value <= false_alarm_rate, observed.sum(axis=1))

    def _score_under(self, pattern: bytes) -> Array:
        """Held-out scores, ascending, with only the sensors of `pattern` (one bool byte each) observed."""
        observed = np.frombuffer(pattern, dtype=bool)
        if observed.all():
            return self._complete
        return np.sort(self._engine.score(np.where(observed, self._rows, np.nan)).score)


def conformal_p(held_out: Array, score: Array) -> Array:
    """(1 + #{held_out ≥ score}) / (n + 1), with `held_out` ascending."""
    at_least = len(held_out) - np.searchsorted(held_out, score, side="left")
    return np.asarray((1 + at_least) / (len(held_out) + 1))


def alarm_threshold(held_out: Array, false_alarm_rate: float) -> float:
    """The score at which the p-value becomes at most the rate, with `held_out` ascending.

    Raises:
        InvalidContent: `rate-out-of-range` when no score could have so small a p-value, or the rate is above 0.5.
    """
    n = len(held_out)
    attainable = (1 + np.arange(n + 1)) / (n + 1)
    allowed_above = int(np.searchsorted(attainable, false_alarm_rate, side="right"))
    if allowed_above == 0 or not false_alarm_rate <= MAX_RATE:
        detail = f"expected from {1 / (n + 1):.6g} to {MAX_RATE}: {n} held-out rows cannot vouch for a smaller rate"
        raise InvalidContent("rate-out-of-range", f"false_alarm_rate: {detail}.", (Fault("/false_alarm_rate", detail),))
    highest_quiet = float(held_out[n - allowed_above])
    return highest_quiet + float(np.spacing(max(abs(highest_quiet), 1.0)))


def discoveries(p_value: Array, rate: float) -> npt.NDArray[np.bool_]:
    """Which rows to report so that at most `rate` of the reports are false (Benjamini & Hochberg 1995), [n]."""
    order = np.argsort(p_value)
    passes = p_value[order] <= rate * (1 + np.arange(len(p_value))) / len(p_value)
    reported = np.zeros(len(p_value), dtype=bool)
    if passes.any():
        reported[order[: 1 + np.flatnonzero(passes)[-1]]] = True
    return reported
