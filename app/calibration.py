"""Scores to p-values, thresholds and alarms: each row is ranked among the held-out rows of its own pattern.

A row with missing sensors is ranked among the held-out rows scored with the same sensors missing, since every sensor
that goes takes its own nats with it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.array import Array, has_nan
from app.cache import Cache
from app.engine import Engine
from app.errors import BundleError
from app.long import require_asker
from app.ranking import Ranking
from app.tail import fit_tail

Pattern = npt.NDArray[np.bool_]
PATTERNS_KEPT = 256
"""Patterns of missing sensors whose held-out scores stay in memory, the least recently asked for goes first."""

RATES_KEPT = 64
"""False-alarm rates whose thresholds for complete rows stay in memory."""


@dataclass(frozen=True)
class Verdict:
    """Per row, all [n]: its p-value, the score at which an alarm begins, whether it does, and the sensors it has."""

    p_value: Array
    threshold: Array
    alarm: npt.NDArray[np.bool_]
    n_observed: npt.NDArray[np.int64]


class Calibration:
    """The held-out rows of one bundle and their scores."""

    def __init__(
        self,
        file: Path,
        engine: Engine,
        patterns_kept: int = PATTERNS_KEPT,
        rank: Callable[[bytes], Ranking] | None = None,
    ) -> None:
        """Read `scores` [n] and `rows` [≤ 2000, D] from calibration.npz; `engine` scores these under other patterns.

        That takes a while for each pattern; where another process does it, `rank` asks it.

        Raises:
            BundleError: there are not as many scores as the manifest says, one is no number, or the rows have not the
                sensors' width.
        """
        manifest = engine.manifest
        # Opened here, since numpy leaves what it opens open where that is no archive.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            scores, rows = stored["scores"], stored["rows"]
        count, sensors = manifest.calibration.rows, len(manifest.sensors)
        if (scores.shape, rows.shape[1:]) != ((count,), (sensors,)) or not np.isfinite(scores).all():
            found = f"scores {list(scores.shape)} and rows {list(rows.shape)}"
            expected = f"finite scores [{count}] and rows [m, {sensors}]"
            raise BundleError(file.parent, f"{file.name}: it holds {found}, expected {expected}")
        self._complete = Ranking(np.sort(scores), manifest.calibration.tail)
        self._rows = len(rows)
        # Nothing here refers to this object, so that a model that is served no more goes at once.
        self._rankings = Cache(rank or partial(_rank_under, engine, rows, self._complete), patterns_kept)
        self._threshold = lru_cache(RATES_KEPT)(self._complete.threshold)

    def judge(self, x: Array, score: Array, false_alarm_rate: float) -> Verdict:
        """Rank each row's score [n] among the held-out scores under the row's own pattern of missing sensors.

        Raises:
            InvalidContent: `rate-out-of-range` for a rate above 0.5, or below the least that the held-out rows of a
                pattern can vouch for.
        """
        p_value, threshold = self.p_values(x, score), self.thresholds(x, false_alarm_rate)
        return Verdict(p_value, threshold, p_value <= false_alarm_rate, (~np.isnan(x)).sum(axis=1))

    def p_values(self, x: Array, score: Array) -> Array:
        """The p-value of each row's score, [n]."""
        if not has_nan(x):
            return self._complete.p_value(score)
        p_value = np.empty(len(x))
        for pattern, here in _patterns(x):
            require_asker()
            p_value[here] = self._rankings[pattern.tobytes()].p_value(score[here])
        return p_value

    def thresholds(self, x: Array, false_alarm_rate: float) -> Array:
        """The score at which each row begins to be an alarm, [n] in nats.

        Raises:
            InvalidContent: as `judge`.
        """
        if not has_nan(x):
            return np.full(len(x), self.threshold(false_alarm_rate))
        self._complete.require(false_alarm_rate)
        threshold = np.empty(len(x))
        for pattern, here in _patterns(x):
            ranking = self._rankings[pattern.tobytes()]
            # Where nothing is observed nothing can alarm, and no rate is too small for that.
            rate = false_alarm_rate if pattern.any() else max(false_alarm_rate, ranking.least_rate)
            threshold[here] = ranking.threshold(rate)
        return threshold

    def unranked(self, x: Array) -> tuple[int, int]:
        """How many patterns of missing sensors rows x [n, D] have, and how many rows new ones take to be scored."""
        patterns = np.unique(~np.isnan(x), axis=0)
        new = [each for each in patterns if not each.all() and each.tobytes() not in self._rankings]
        return len(patterns), self._rows * len(new)

    def ranking(self, pattern: bytes) -> Ranking:
        """The held-out scores with only some sensors observed, one bool byte each."""
        return self._rankings[pattern]

    def threshold(self, false_alarm_rate: float) -> float:
        """The score at which a complete row begins to be an alarm, in nats.

        Raises:
            InvalidContent: as `judge`.
        """
        return self._threshold(false_alarm_rate)

    def require(self, false_alarm_rate: float) -> None:
        """Refuse what complete rows cannot answer.

        Raises:
            InvalidContent: `rate-out-of-range`.
        """
        self._complete.require(false_alarm_rate)


def _rank_under(engine: Engine, rows: Array, complete: Ranking, pattern: bytes) -> Ranking:
    """The ranking of held-out rows [m, D] with only the sensors of `pattern` (one bool byte each) observed.

    A pattern has a tail of its own where the complete rows have one, fitted in the same way.
    """
    observed = np.frombuffer(pattern, dtype=bool)
    if observed.all():
        return complete
    held_out = np.sort(engine.score(np.where(observed, rows, np.nan)).score)
    return Ranking(held_out, fit_tail(held_out) if complete.tail else None)


def _patterns(x: Array) -> Iterator[tuple[Pattern, Pattern]]:
    """Each pattern of observed sensors [D] in rows x [n, D], and the rows [n] that have it."""
    patterns, pattern_of_row = np.unique(~np.isnan(x), axis=0, return_inverse=True)
    for index, pattern in enumerate(patterns):
        yield pattern, pattern_of_row.ravel() == index


def discoveries(p_value: Array, rate: float) -> npt.NDArray[np.bool_]:
    """Which rows to report so that at most `rate` of the reports are false (Benjamini & Hochberg 1995), [n]."""
    order = np.argsort(p_value)
    passes = p_value[order] <= rate * (1 + np.arange(len(p_value))) / len(p_value)
    reported = np.zeros(len(p_value), dtype=bool)
    if passes.any():
        reported[order[: 1 + np.flatnonzero(passes)[-1]]] = True
    return reported
