"""Held-out rows, scored by the exported graph itself, to the numbers that p-values are made from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import beta

from app.array import Array
from app.engine import Engine
from app.manifest import Calibration
from app.ranking import Ranking
from app.tail import fit_tail
from training.order import order_of

FALSE_ALARM_RATE = 0.01
ROWS_KEPT = 2000
"""Held-out rows that travel with the bundle, to be scored again under other patterns of missing sensors."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out scores in nats, in the order of the file, and some of their rows."""

    scores: Array
    """[n]"""
    rows: Array
    """Up to 2000 of the rows, evenly chosen: [m, D] in the sensors' units."""
    usual: Array
    """Each sensor's mean part of the score, [D] in nats."""
    earlier: Array | None
    """Scores of the validation rows [v] where all of them are before the held-out ones: the split is in time order."""

    @staticmethod
    def of(engine: Engine, x: Array, earlier: Array | None = None) -> "HeldOut":
        """Score rows x [n, D] that training never saw, and those before them [v, D]."""
        chosen = np.linspace(0, len(x) - 1, min(len(x), ROWS_KEPT)).astype(int)
        before = None if earlier is None else engine.score(earlier).score
        scores = engine.score(x)
        usual = scores.per_sensor.sum(axis=0) / np.maximum(1, (~np.isnan(x)).sum(axis=0))
        return HeldOut(scores.score, x[chosen], usual, before)

    def account(self, interval: float | None) -> Calibration:
        """What the manifest says of it: the threshold at 1 % (or the least rate that n rows allow), and its worth.

        On new healthy rows the threshold's false-alarm rate is Beta(k, n + 1 − k) distributed, k = p·(n + 1) with p the
        p-value that the threshold attains (Vovk 2012); of rows in time order n is the effective number.
        """
        held_out = np.sort(self.scores)
        ranking = Ranking(held_out, fit_tail(held_out))
        order = order_of(self.scores, self.earlier)
        rate = max(FALSE_ALARM_RATE, ranking.least_rate)
        threshold = ranking.threshold(rate)
        attained = float(ranking.p_value(np.array([threshold]))[0])
        n = order.effective_rows if order.split == "time" else len(held_out)
        low, high = beta.ppf([0.05, 0.95], attained * (n + 1), (1 - attained) * (n + 1))
        return Calibration(
            rows=len(held_out),
            false_alarm_rate=rate,
            threshold=threshold,
            realised_rate_90=(float(low), float(high)),
            held_out_nats=float(self.scores.mean()),
            tail=ranking.tail,
            order=order,
            interval_seconds=interval,
        )

    def write(self, file: Path) -> None:
        """As calibration.npz, without pickles."""
        np.savez(file, scores=self.scores, rows=self.rows)
