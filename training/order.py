"""Scores in the order of the file: how many independent ones they are worth, and whether they move."""

from typing import Literal

import numpy as np
from scipy.special import kolmogorov
from scipy.stats import ks_2samp, rankdata

from app.array import Array
from app.manifest import Order, Shift


def order_of(held_out: Array, earlier: Array | None) -> Order:
    """What held-out scores [n] say in the order of the file.

    Args:
        held_out: scores in nats, in that order.
        earlier: scores of the validation rows, all before the held-out ones; None where the split is random.
    """
    if earlier is None:
        return Order(split="random", effective_rows=effective_rows(held_out), shifts=())
    half = len(held_out) // 2
    shifts = (
        _shift("validation and calibration rows", earlier, held_out),
        _shift("the two halves of the calibration rows", held_out[:half], held_out[half:]),
    )
    return Order(split="time", effective_rows=effective_rows(held_out), shifts=shifts)


def effective_rows(scores: Array) -> float:
    """n / τ of scores [n]: how many independent rows tell as much about their mean; from 1 to n.

    τ = 1 + 2 Σ autocorrelation, summed over pairs of lags for as long as a pair is positive, and none more than the
    one before (the initial monotone sequence of Geyer 1992, Statistical Science 7). The autocorrelation is that of the
    ranks, which one far-out score cannot drown.
    """
    n = len(scores)
    ranks = rankdata(scores)
    power = np.abs(np.fft.rfft(ranks - ranks.mean(), 2 * n)) ** 2
    covariance = np.fft.irfft(power)[: n - n % 2]
    if not covariance.any():
        return float(n)
    pairs = (covariance / covariance[0]).reshape(-1, 2).sum(axis=1)
    ends = np.append(np.flatnonzero(pairs <= 0), len(pairs))[0]
    tau = 2 * float(np.minimum.accumulate(pairs[:ends]).sum()) - 1
    return n / min(max(tau, 1.0), n)


def _shift(
    between: Literal["validation and calibration rows", "the two halves of the calibration rows"],
    earlier: Array,
    later: Array,
) -> Shift:
    """Kolmogorov-Smirnov, as if there were only the effective rows: √(m·n/(m + n))·D has Kolmogorov's distribution."""
    distance = float(ks_2samp(earlier, later, method="asymp").statistic)
    m, n = effective_rows(earlier), effective_rows(later)
    p_value = float(kolmogorov((m * n / (m + n)) ** 0.5 * distance))
    return Shift(between=between, distance=distance, p_value=p_value)
