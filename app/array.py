"""The arrays there are here: float64 of any shape, and the numbers of rows."""

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]


def has_nan(x: Array) -> bool:
    """Whether a value is NaN, of values whose squares are doubles.

    The scalar product with itself is NaN then, and for a few rows is faster than np.isnan(x).any().
    """
    return math.isnan(np.vdot(x, x))
