"""How well the model fits rows that it was not fitted to: its latents, its bound, and its bands for every sensor."""

import math

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from app.array import Array
from app.engine import Engine
from app.manifest import Sensor
from app.report import BANDS, Gap, Latents, SensorFit
from training.fit import Rows
from training.standardise import standardise
from training.vae import Vae

ACTIVE = 0.01
"""Least variance of a latent's posterior mean over the rows for it to count as active (Burda et al. 2016)."""
ROWS = 500
FAR = 10.0
DRAWS = 128
MASKED = 6000
"""Rows × sensors whose bands are asked for at most: each costs a reconstruction of its own."""


def examined(held_out: Array, sensors: tuple[Sensor, ...]) -> Array:
    """At most ROWS of the held-out rows [n, D], evenly chosen, with readings beyond FAR training scales taken as there.

    A row so far out says nothing of the model, and its squares would drown what the others say.
    """
    mean, scale = (np.array([getattr(sensor, of) for sensor in sensors]) for of in ("mean", "scale"))
    return np.clip(_evenly(held_out, ROWS), mean - FAR * scale, mean + FAR * scale)


def latents(engine: Engine, x: Array) -> Latents:
    """What each latent of the exported encoder carries, over rows x [n, D] in the sensors' units."""
    encoding = engine.encode(x)
    variance = encoding.mean.var(axis=0)
    kl = 0.5 * (encoding.mean**2 + encoding.scale**2 - 1) - np.log(encoding.scale)
    return Latents(
        rows=len(x),
        active=int((variance > ACTIVE).sum()),
        variance=tuple(variance.tolist()),
        kl=tuple(kl.mean(axis=0).tolist()),
    )


def gap(engine: Engine, x: Array) -> Gap:
    """The score less the importance-weighted bound of DRAWS draws, over rows x [n, D] in the sensors' units."""
    gain = engine.score(x).score - engine.bound(x, DRAWS, seed=0).value
    return Gap(rows=len(x), draws=DRAWS, nats=float(gain.mean()), error=float(gain.std() / math.sqrt(len(x))))


def sensor_fits(engine: Engine, vae: Vae, x: Array) -> tuple[SensorFit, ...]:
    """Of every sensor in the density: how often its decoder is at its floor, and how honest its bands are.

    Over rows x [n, D] in the sensors' units; of the bands over fewer of them where there are many sensors.
    """
    sensors = engine.manifest.sensors
    floor, at_floor = floors(vae, sensors), _at_floor(vae, standardise(x, sensors))
    x = _evenly(x, max(1, MASKED // len(sensors)))
    expected = engine.expected(x)
    distance = np.abs(x - expected.mean) / expected.scale
    moving = [d for d, sensor in enumerate(sensors) if not sensor.constant]
    fits = []
    for d, share in zip(moving, at_floor.tolist(), strict=True):
        readings = distance[~np.isnan(distance[:, d]), d]
        within = [float(np.mean(readings <= norm.ppf(0.5 + band / 2))) if len(readings) else 0.0 for band in BANDS]
        fits.append(
            SensorFit(
                name=sensors[d].name,
                floor=float(floor[d]),
                at_floor=share,
                readings=len(readings),
                coverage=(within[0], within[1], within[2]),
            )
        )
    return tuple(fits)


def floors(vae: Vae, sensors: tuple[Sensor, ...]) -> Array:
    """The least scale that each sensor's decoder may have, [D] in its unit; 0 where it has none."""
    floor = np.zeros(len(sensors))
    moving = [d for d, sensor in enumerate(sensors) if not sensor.constant]
    floor[moving] = vae.decode.floor_variance.double().sqrt().numpy() * [sensors[d].scale for d in moving]
    return floor


@torch.no_grad()
def _at_floor(vae: Vae, rows: Rows) -> Tensor:
    """Share of rows in which more than half of the decoder's variance, at the posterior's mean, is its floor's, [A]."""
    decoded = vae.decode(vae.encode(rows.x, rows.observed).mean)
    share: Tensor = (2 * vae.decode.floor_variance > decoded.squared_scale).double().mean(dim=0)
    return share


def _evenly(x: Array, count: int) -> Array:
    chosen: Array = x[np.linspace(0, len(x) - 1, min(len(x), count)).astype(int)]
    return chosen
