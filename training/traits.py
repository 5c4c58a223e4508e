"""What one column of readings is like, and two beside each other, as numbers that a rule can be put on."""

from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from app.array import Array

TIGHT = 0.01
"""Two groups of values are two values with noise when each is narrower than this share of the gap between them…"""
LEAST_SHARE = 0.01
"""…and holds at least this share of the readings."""
STUCK = 0.05
"""A sensor sticks at its largest (smallest) value when this share of its readings is within a window there…"""
WINDOW = 0.1
"""…of this many robust scales, the smaller of its standard deviation and its interquartile range / 1.349…"""
SPIKE = 3.0
"""…which holds this many times as many readings as the window beside it…"""
BEYOND = 0.01
"""…and further out than one more window lie at most this many, as a share of those inside."""
PAIRS = 20
"""Rows that two columns must share for their correlation to mean anything."""


def rarer_of_two(values: Array) -> float | None:
    """The rarer value's share of the ascending values, where there are two, up to noise; else None."""
    gaps = np.diff(values)
    cut = int(gaps.argmax())
    width = max(values[cut] - values[0], values[-1] - values[cut + 1])
    share = min(cut + 1, len(values) - cut - 1) / len(values)
    two = width == 0 or (width <= TIGHT * gaps[cut] and share >= LEAST_SHARE)
    return share if two else None


def sticking(values: Array, scale: float) -> Iterator[tuple[str, float, float]]:
    """Each end at which the ascending values stick: which, the middle of the values there, and their share."""
    low, high = np.quantile(values, [0.25, 0.75])
    width = WINDOW * min(scale, (high - low) / 1.349)
    for end, ascending, sign in (("smallest", values, 1.0), ("largest", -values[::-1], -1.0)):
        ends = np.searchsorted(ascending, ascending + width, side="right")
        counts = ends - np.arange(len(ascending))
        for start in (0, int(counts.argmax())):
            stop = int(ends[start])
            beside = counts[stop] if stop < len(ascending) else 0
            share = counts[start] / len(ascending)
            beyond = np.searchsorted(ascending, ascending[start] - width)
            if share >= STUCK and counts[start] >= SPIKE * beside and beyond <= BEYOND * counts[start]:
                yield end, sign * float(np.median(ascending[start:stop])), float(share)
                break


def l_kurtosis(values: Array) -> float:
    """τ₄ = λ₄ / λ₂ of ascending values, from unbiased probability-weighted moments (Hosking 1990)."""
    n = len(values)
    if n < 4:
        return 0.0
    centred = values - values.mean()
    below = np.arange(n)
    first = below / (n - 1)
    second = first * (below - 1) / (n - 2)
    third = second * (below - 2) / (n - 3)
    b1, b2, b3 = (float((weight * centred).mean()) for weight in (first, second, third))
    return (20 * b3 - 30 * b2 + 12 * b1) / (2 * b1)


def rank(x: Array) -> Array:
    """Each reading's rank in its column of x [n, D], as a share of the rows; ties share theirs, NaN stays."""
    ranks = np.full_like(x, np.nan)
    for d, column in enumerate(x.T):
        seen = ~np.isnan(column)
        ranks[seen, d] = rankdata(column[seen]) / len(x)
    return ranks


def correlations(x: Array) -> Array:
    """Pearson's, of each pair of columns [D, D] over the rows that have both; 0 where these are few or all alike."""
    seen = (~np.isnan(x)).astype(np.float64)
    filled = np.nan_to_num(x, nan=0.0)
    count = np.maximum(seen.T @ seen, 1.0)
    sums, squares = filled.T @ seen, filled.T**2 @ seen
    spread = np.maximum(squares / count - (sums / count) ** 2, 0.0)
    covariance = filled.T @ filled / count - sums * sums.T / count**2
    scale = np.sqrt(spread * spread.T)
    known = (scale > 1e-12) & (count >= PAIRS)
    return np.where(known, covariance / np.where(known, scale, 1.0), 0.0)
