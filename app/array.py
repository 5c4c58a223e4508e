"""The arrays there are here: float64 of any shape, and the numbers of rows."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
