"""Held-out rows, scored by the exported graph itself, to the numbers that p-values are made from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import beta

from app import bundle
from app.array import Array
from app.calibration import alarm_threshold
from app.engine import Engine

FALSE_ALARM_RATE = 0.01
ROWS_KEPT = 2000
"""Held-out rows that travel with the bundle, to be scored again under other patterns of missing sensors."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out scores [n] in nats and up to 2000 of their rows, evenly chosen, [m, D] in the sensors' units."""

    scores: Array
    rows: Array

    @staticmethod
    def of(engine: Engine, x: Array) -> "HeldOut":
        """Score rows x [n, D] that training never saw."""
        chosen = np.linspace(0, len(x) - 1, min(len(x), ROWS_KEPT)).astype(int)
        return HeldOut(engine.score(x).score, x[chosen])

    def account(self) -> bundle.Calibration:
        """What the manifest says of it: the threshold at 1 % (or the least rate that n rows allow), and its worth.

        On new healthy rows the threshold's false-alarm rate is Beta(k, n + 1 − k) distributed, k = ⌊rate·(n + 1)⌋
        (Vovk 2012).
        """
        n = len(self.scores)
        rate = max(FALSE_ALARM_RATE, 1 / (n + 1))
        k = int(np.floor(rate * (n + 1) + 1e-9))
        low, high = beta.ppf([0.05, 0.95], k, n + 1 - k)
        return bundle.Calibration(
            rows=n,
            false_alarm_rate=rate,
            threshold=alarm_threshold(np.sort(self.scores), rate),
            realised_rate_90=(float(low), float(high)),
            held_out_nats=float(self.scores.mean()),
        )

    def write(self, file: Path) -> None:
        """As calibration.npz, without pickles."""
        np.savez(file, scores=self.scores, rows=self.rows)
