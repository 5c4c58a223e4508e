"""Beyond the 98 % level: a generalised-Pareto tail, fitted to the held-out scores above it (peaks over threshold).

p = p₀·(1 + ξ·(score − s₀)/β)^(−1/ξ), where the tail begins at score s₀ with p-value p₀ and has the shape ξ and the
scale β; it is exponential where ξ is 0. Above a high level every tail tends to this form (Pickands 1975).
"""

from math import log

import numpy as np

from app.array import Array
from app.manifest import Tail

SHARE = 0.02
"""Of the held-out rows, above the score where the tail begins."""
LEAST_EXCEEDANCES = 30
"""Fewer scores than this say too little about the shape of a tail."""
BEYOND = 10
"""The tail is trusted down to 1 in this many times the held-out rows."""
PRIOR_EXCEEDANCES = 10
"""How many exceedances the prior of the shape, 0, weighs as much as; Vehtari et al. (2024) use as many."""
LARGEST_SHAPE = 1.0
"""A tail as heavy as this has no mean: nothing beyond the held-out scores can be said from them."""
RESOLUTION = 1e-9
"""Differences below this share of a score are rounding."""


def fit_tail(held_out: Array) -> Tail | None:
    """The tail of held-out scores [n], ascending, in nats; None where they cannot vouch for one.

    The estimate is that of Zhang & Stephens (2009, Technometrics 51), which exists for every sample, drawn to an
    exponential tail by a prior: scores are −ln of a density, whose tail is exponential where the density fits.
    """
    n = len(held_out)
    at_least = int(SHARE * (n + 1)) - 1
    if at_least <= LEAST_EXCEEDANCES:
        return None
    begin = float(held_out[n - at_least])
    excess = held_out[held_out > begin] - begin
    if len(excess) < LEAST_EXCEEDANCES or excess[-1] <= RESOLUTION * max(abs(begin), 1.0):
        return None
    shape, scale = _shape_and_scale(excess)
    shape *= len(excess) / (len(excess) + PRIOR_EXCEEDANCES)
    if shape >= LARGEST_SHAPE:
        return None
    at_least = n - int(np.searchsorted(held_out, begin))  # more than above where scores are tied
    return Tail(
        score=begin,
        p_value=(1 + at_least) / (n + 1),
        shape=shape,
        scale=scale,
        exceedances=len(excess),
        least_rate=1 / (BEYOND * n),
    )


def tail_scores(tail: Tail, p_value: Array) -> Array:
    """The scores, in nats, that have these p-values, all at most the one where the tail begins."""
    nats = log(tail.p_value) - np.log(p_value)
    return np.asarray(tail.score + tail.scale * (np.expm1(tail.shape * nats) / tail.shape if tail.shape else nats))


def _shape_and_scale(excess: Array) -> tuple[float, float]:
    """Zhang & Stephens' estimate from exceedances [k], ascending and positive: an average over b = −shape/scale.

    The grid of b and the weights, a profile likelihood, are theirs; every b leaves the largest exceedance possible.
    """
    largest = float(excess[-1])
    x = excess / largest
    count, points = len(x), 30 + int(len(x) ** 0.5)
    quartile = max(float(x[int(count / 4 + 0.5) - 1]), RESOLUTION)
    b = 1 + (1 - np.sqrt(points / (np.arange(points) + 0.5))) / (3 * quartile)
    b[b == 0] = RESOLUTION  # the exponential tail: its shape is 0, and the ratio below would be 0/0
    shape = np.log1p(-b[:, None] * x).mean(axis=1)
    log_likelihood = count * (np.log(-b / shape) - shape - 1)
    weight = np.exp(log_likelihood - log_likelihood.max())
    mean = float((weight * b).sum() / weight.sum()) or RESOLUTION
    mean_shape = float(np.log1p(-mean * x).mean())
    return mean_shape, -mean_shape / mean * largest
