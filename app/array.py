"""The one array there is here: float64, of any shape."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
