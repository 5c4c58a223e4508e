"""NumPy files of sensor readings: a bare array, whose columns are called x0, x1, …"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.array import Array
from app.cells import FLOAT32_MAX
from app.errors import TableError

KEYS = ("X", "x", "train")
"""The arrays of an NPZ file that hold readings, where it has several."""


@dataclass(frozen=True)
class ArrayTable:
    """An array of readings, read as a table."""

    file: str
    names: tuple[str, ...]
    content: npt.NDArray[np.generic]
    """[n, D], of a real number type; NaN where a value is missing."""

    def numbers(self, names: Sequence[str], drop_flag: str) -> Array:
        """The named columns as float64 [n, D]; `drop_flag` is the flag that leaves one out.

        Raises:
            TableError: a value is not within float32's range.
        """
        x = self.content[:, [self.names.index(name) for name in names]].astype(np.float64)
        for row, d in np.argwhere(np.abs(x) > FLOAT32_MAX)[:1].tolist():
            place = f"{self.file}, row {row + 1}, column '{names[d]}'"
            raise TableError(
                f"{place}: {float(x[row, d])} is beyond float32's range; expected at most ±{FLOAT32_MAX:.3g}, or NaN "
                f"where a value is missing; leave the column out with {drop_flag} '{names[d]}'"
            )
        return x

    def lines(self) -> None:
        """Its rows are on no lines."""

    def describe(self, names: Sequence[str]) -> str:
        """What kind of file it is, in words."""
        return f"array of {self.content.dtype}"


def read_array(path: Path) -> ArrayTable:
    """The table in an NPY file, or in an NPZ file that has one 2-D array or one of `KEYS`.

    Raises:
        TableError: there is no such array; it is not two-dimensional or not of real numbers.
    """
    content = _load(path)
    if content.ndim != 2 or content.dtype.kind not in "fiu":
        raise TableError(
            f"{path}: an array of shape {content.shape} and type {content.dtype}; expected numbers as [rows, sensors]"
        )
    return ArrayTable(str(path), tuple(f"x{d}" for d in range(content.shape[1])), content)


def _load(path: Path) -> npt.NDArray[np.generic]:
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            arrays: dict[str, npt.NDArray[np.generic]] = {key: loaded[key] for key in loaded.files}
    except (OSError, ValueError, EOFError, MemoryError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise TableError(f"{path}: not readable as an array of numbers: {error}") from error
    tables = [key for key in KEYS if key in arrays] or [key for key, array in arrays.items() if array.ndim == 2]
    if len(tables) != 1:
        found = ", ".join(f"'{key}' {array.shape}" for key, array in arrays.items()) or "nothing"
        raise TableError(
            f"{path} holds {found}; expected one [rows, sensors] array, or one array named {', '.join(KEYS)}"
        )
    return arrays[tables[0]]
