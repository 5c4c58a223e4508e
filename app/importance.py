"""Importance weights: a tighter bound, and what missing sensors read given the others.

Each of K draws z from a proposal r(z|x) has the weight w = p(x, z) / r(z|x), whose mean estimates p(x) without bias.
Shapes: n rows, D sensors, L latents.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.array import Array


@dataclass(frozen=True)
class Draws:
    """What K draws say of each row: ln w [n, K] in nats, and the mean and scale of every sensor, [n, K, D]."""

    log_weight: Array
    mean: Array
    scale: Array


@dataclass(frozen=True)
class Bound:
    """−ln of the mean weight, in nats, and its standard error, both [n]: it falls to −ln p(x) as K grows."""

    value: Array
    error: Array


class Moments(NamedTuple):
    """Mean and scale (a standard deviation) of every sensor, both [n, D], in the sensors' units."""

    mean: Array
    scale: Array


def bound(log_weight: Array, draws: int) -> Bound:
    """−ln (1/K) Σ w of the first `draws` of log_weight [n, K] (Burda, Grosse & Salakhutdinov 2016).

    The error is that of ln of a mean, s / (m √draws), with the mean m and the standard deviation s of all K weights;
    K is at least 2.
    """
    used = log_weight[:, :draws]
    largest = used.max(axis=1, keepdims=True)
    value = -(np.log(np.exp(used - largest).mean(axis=1)) + largest[:, 0])
    weight = _relative(log_weight)
    return Bound(value, weight.std(axis=1, ddof=1) / (weight.mean(axis=1) * np.sqrt(draws)))


def shares(log_weight: Array) -> Array:
    """Normalised weights [n, K], each row's adding up to 1, none above √K times the mean before (Ionides 2008).

    Where one draw has nearly all of the weight the cut keeps the others in, at a bias that vanishes as K grows.
    """
    weight = _relative(log_weight)
    cut = np.minimum(weight, np.sqrt(weight.shape[1]) * weight.mean(axis=1, keepdims=True))
    return np.asarray(cut / cut.sum(axis=1, keepdims=True))


def moments(draws: Draws) -> Moments:
    """Mean and scale of the weighted mixture of the draws."""
    share = shares(draws.log_weight)[:, :, None]
    mean = (share * draws.mean).sum(axis=1)
    variance = (share * (draws.scale**2 + (draws.mean - mean[:, None, :]) ** 2)).sum(axis=1)
    return Moments(mean, np.sqrt(variance))


def resample(draws: Draws, uniform: Array, noise: Array) -> Array:
    """Rows [m, D] from the weighted mixture of one row's draws, by a uniform number [m] and standard normals [m, D]."""
    edges = shares(draws.log_weight)[0].cumsum()
    chosen = np.minimum(np.searchsorted(edges, uniform, side="right"), len(edges) - 1)
    return np.asarray(draws.mean[0, chosen] + draws.scale[0, chosen] * noise)


def _relative(log_weight: Array) -> Array:
    """Weights [n, K] of which each row's largest is 1."""
    return np.asarray(np.exp(log_weight - log_weight.max(axis=1, keepdims=True)))
