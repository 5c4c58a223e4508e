"""Densities that nelbo's is compared with: each is fitted to rows [n, D] and gives held-out rows [m, D] nats a row.

They take standardised rows in random order; `of_raw_rows` makes the nats those of rows in their own units.
"""

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from app.array import Array

Estimate = Callable[[Array, Array], float]
"""Rows to fit to and rows held out → the mean negative log-density of the latter, in nats."""

WIDTHS = np.geomspace(0.02, 1.0, 16)
"""Of the kernel, in training scales."""
JUDGES = 2000
"""Rows by which the kernel's width is chosen."""


def of_raw_rows(estimate: Estimate, train: Array, held_out: Array) -> float:
    """Nats a row of rows in their own units: those of standardised rows plus Σ ln scale."""
    mean, scale = train.mean(axis=0), train.std(axis=0)
    return float(np.log(scale).sum()) + estimate((train - mean) / scale, (held_out - mean) / scale)


def gaussian(train: Array, held_out: Array) -> float:
    """Of one full Gaussian."""
    return float(-multivariate_normal(train.mean(axis=0), np.cov(train.T)).logpdf(held_out).mean())


def mixture(train: Array, held_out: Array, components: int) -> float:
    """Of a mixture of full Gaussians, fitted by expectation maximisation from k-means."""
    return float(-GaussianMixture(components, random_state=0, max_iter=200).fit(train).score(held_out))


def kernel(train: Array, held_out: Array) -> float:
    """Of a Gaussian kernel on every row, its width the one of `WIDTHS` under which rows left out are likeliest."""
    judges = min(JUDGES, len(train) // 5)
    width = min(WIDTHS, key=lambda width: _kernel(train[judges:], train[:judges], width))
    return _kernel(train, held_out, width)


def _kernel(train: Array, held_out: Array, width: float) -> float:
    normaliser = np.log(len(train)) + train.shape[1] * np.log(width * np.sqrt(2 * np.pi))
    cuts = range(256, len(held_out), 256)  # a few rows at a time: all distances at once would not fit into memory
    logs = [
        logsumexp(-0.5 * cdist(rows / width, train / width, "sqeuclidean"), axis=1) for rows in np.split(held_out, cuts)
    ]
    return float(normaliser - np.concatenate(logs).mean())
