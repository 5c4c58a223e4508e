"""What nelbo's detection is compared with: each takes training rows [n, D] and gives test rows [m, D] scores [m].

A larger score is odder. Rows come standardised by the training rows, as published results have them.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
from scipy.stats import multivariate_normal
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from app.array import Array

Detector = Callable[[Array, Array], Array]

RIDGE = 1e-4
"""Added to the variances of the Gaussian, in standardised units: duplicated columns leave no covariance to invert."""


def detectors(seed: int) -> dict[str, Detector]:
    """Every rival by name; PyOD's VAE only where PyOD is installed."""
    found: dict[str, Detector] = {
        "forest": partial(isolation_forest, seed=seed),
        "5-NN": nearest_neighbours,
        "Gaussian": gaussian,
    }
    return {**found, "PyOD VAE": partial(pyod_vae, seed=seed)} if find_spec("pyod") else found


def isolation_forest(train: Array, test: Array, seed: int) -> Array:
    """scikit-learn's isolation forest as it comes: 100 trees of 256 rows."""
    return np.asarray(-IsolationForest(random_state=seed).fit(train).score_samples(test))


def nearest_neighbours(train: Array, test: Array) -> Array:
    """The distance to the fifth nearest training row."""
    distances, _ = NearestNeighbors(n_neighbors=5).fit(train).kneighbors(test)
    return np.asarray(distances[:, -1])


def gaussian(train: Array, test: Array) -> Array:
    """Negative log-likelihood of one full Gaussian, its covariance plus `RIDGE`·I."""
    covariance = np.cov(train.T) + RIDGE * np.eye(train.shape[1])
    return np.asarray(-multivariate_normal(train.mean(axis=0), covariance).logpdf(test))


def pyod_vae(train: Array, test: Array, seed: int) -> Array:
    """PyOD's VAE with its own defaults: the reconstruction error of a network with two latents after 30 epochs."""
    from pyod.models.vae import VAE  # here, since PyOD is an optional extra

    return np.asarray(VAE(random_state=seed, verbose=0, device="cpu").fit(train).decision_function(test))
