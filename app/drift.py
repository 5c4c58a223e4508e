"""Whether the rows of late are still like the held-out ones: a rank sum whose weights fade, in standard deviations.

The p-value of a row is its rank among n held-out rows, so that the mean p-value of N rows is their rank sum against
these (Wilcoxon 1945, Mann & Whitney 1947). Where both come from one healthy plant it has mean ½ and variance
(1/N + 1/n + 1/(N·n)) / 12, the held-out rows' own error included. A row that came j rows ago has the weight (1 − λ)^j
(Roberts 1959), so that N is no number but the window (Σw)² / Σw² = (2 − λ) / λ, and the drift is

    √12 · Σ w·(½ − p)  /  √(τ·Σw² + (Σw)² / m)

τ is how many rows in a row are worth one independent one, and m how many independent ones the held-out rows are worth,
both by the autocorrelation that the manifest tells: rank sums of dependent rows have the variance of so many
independent ones (Dedecker & Saulière 2016). Without drift it is N(0, 1), or nearly; it is positive where rows have
become more surprising. It is a sum, so what several processes remember adds up.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from app.array import Array
from app.manifest import Manifest

THRESHOLD = 4.0
"""Standard deviations above which it is drift. Over a window of W rows a healthy plant passes it once in about 900·W
rows: so long takes an Ornstein-Uhlenbeck process of the time W/2 on the average, W/2 / (4·φ(4))."""
WINDOW = 500
"""Independent rows of the window, where the held-out ones are worth as many; their error is most of a longer one's."""


@dataclass(frozen=True)
class Memory:
    """What is left of the rows that were seen; of several processes, the sum of each."""

    excess: float = 0.0
    """√12 · Σ w·(½ − p)"""
    squares: float = 0.0
    """τ·Σw²"""
    weight: float = 0.0
    """Σw / √m"""

    @property
    def drift(self) -> float:
        """In standard deviations; 0 before the first row."""
        variance = self.squares + self.weight**2
        return self.excess / float(np.sqrt(variance)) if variance else 0.0


@dataclass(frozen=True)
class Fading:
    """How rows of one model are ranked and forgotten."""

    rank: float
    """Between two p-values next to each other, 1 / (n + 1)."""
    dependence: float
    """τ, rows"""
    independent: float
    """m, rows"""

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Rows that were held out at random stand apart in time: as many rows as were left out between them pass by."""
        calibration, rows = manifest.calibration, manifest.provenance.rows
        independent = calibration.rows if calibration.order is None else calibration.order.effective_rows
        random = calibration.order is not None and calibration.order.split == "random"
        apart = sum(rows.values()) / rows["calibration"] if random and rows.get("calibration") else 1.0
        dependence = 1.0 if calibration.order is None else apart * calibration.rows / independent
        return cls(1 / (calibration.rows + 1), dependence, independent)

    def after(self, memory: Memory, p_value: Array) -> Memory:
        """What is left after rows with these p-values [n], the latest last.

        A p-value stands for all between it and the one below, and counts as their middle. Ties make p-values larger,
        and a floor makes them larger: that hides drift, and never makes any.
        """
        middle = np.maximum(p_value - self.rank / 2, p_value / 2)
        kept = 1 - 2 / (self.dependence * min(self.independent, WINDOW) + 1)
        weights = kept ** np.arange(len(middle) - 1, -1, -1)
        left = kept ** len(middle)
        return Memory(
            excess=left * memory.excess + 12**0.5 * float(weights @ (0.5 - middle)),
            squares=left**2 * memory.squares + self.dependence * float(weights @ weights),
            weight=left * memory.weight + float(weights.sum()) / self.independent**0.5,
        )
