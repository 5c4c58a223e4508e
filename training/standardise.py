"""Raw readings to what the network trains on, and the bounds that follow from them."""

import numpy as np
import torch
from torch import Tensor

from app.array import Array
from app.manifest import Sensor
from training.encoder import Reach, middle_extent
from training.fit import Rows

GRID = 2.0**-14
"""Training values are rounded to this many training scales, far under any decoder scale: other units, same bits."""
SCALE_FLOOR = 0.01
"""The decoder's scale is never below this many training scales."""
RESOLUTION_CEILING = 0.1
"""…nor raised by a coarse resolution above this many: an on/off sensor must still be able to surprise."""
FARTHEST = 1000.0
"""Readings are taken as at most so many training scales out. Of n rows trained on none is beyond √n; a row to stop by
may be anywhere, and its squares must neither overflow nor drown what the other rows say."""
LEAST_LIMIT = 5.0
BEYOND = 1.1
"""The encoder's reach goes this factor beyond what was trained on."""


def standardise(x: Array, sensors: tuple[Sensor, ...]) -> Rows:
    """x [n, D] in the sensors' units, NaN where missing → (x − mean) / scale of the sensors that move, on the grid."""
    moving = [d for d, sensor in enumerate(sensors) if not sensor.constant]
    mean = np.array([sensors[d].mean for d in moving])
    scale = np.array([sensors[d].scale for d in moving])
    standardised = np.clip((x[:, moving] - mean) / scale, -FARTHEST, FARTHEST)
    observed = ~np.isnan(standardised)
    on_grid = np.round(np.where(observed, standardised, 0.0) / GRID) * GRID
    return Rows(torch.tensor(on_grid, dtype=torch.float32), torch.tensor(observed, dtype=torch.float32))


def floor(sensors: tuple[Sensor, ...]) -> Tensor:
    """The least decoder scale of each sensor that moves, [A], in training scales.

    A reading rounded to a step Δ carries an error of scale Δ / √12 that no model can explain (Widrow 1956).
    """
    steps = torch.tensor([s.resolution / s.scale for s in sensors if not s.constant], dtype=torch.float64)
    rounding = (steps / 12**0.5).clamp(max=RESOLUTION_CEILING)
    return (torch.maximum(rounding, torch.tensor(SCALE_FLOOR)) / GRID).round().float() * GRID


def reach(rows: Rows) -> Reach:
    """How far the encoder looks: beyond every value, and beyond every row's middle extent, that it is trained on."""
    limit = BEYOND * rows.x.abs().amax(dim=0).clamp(min=LEAST_LIMIT / BEYOND)
    return Reach(limit, BEYOND * middle_extent(rows.x, limit).amax())
