"""Alarms that must last: held when at least k of the last m rows are."""

import re
from typing import Self

import numpy as np
import numpy.typing as npt

from app.errors import SettingsError

Alarms = npt.NDArray[np.bool_]
LONGEST = 100_000
"""Rows that can be looked back on."""


class Hold:
    """At least `count` of the last `rows` rows, the row itself included; it remembers the last rows it was shown."""

    def __init__(self, count: int, rows: int) -> None:
        if not 1 <= count <= rows <= LONGEST:
            raise SettingsError(f"--hold is {count}/{rows}; expected k/m, whole numbers with 1 ≤ k ≤ m ≤ {LONGEST}")
        self._count = count
        self._before: Alarms = np.zeros(rows - 1, dtype=bool)

    @classmethod
    def parse(cls, text: str) -> Self:
        """As it is written: k/m.

        Raises:
            SettingsError: it is not two whole numbers with 1 ≤ k ≤ m.
        """
        told = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text, re.ASCII)
        if told is None:
            raise SettingsError(f"--hold is '{text}'; expected k/m, such as 3/5: alarm when 3 of the last 5 rows are")
        return cls(int(told[1]), int(told[2]))

    def __str__(self) -> str:
        return f"{self._count}/{len(self._before) + 1}"

    @property
    def remembered(self) -> bytes:
        """What `recall` takes to go on with the rows that follow."""
        return np.packbits(self._before).tobytes()

    def recall(self, remembered: bytes) -> None:
        """Go on behind the rows that another of the same k/m was shown."""
        bits = np.unpackbits(np.frombuffer(remembered, dtype=np.uint8), count=len(self._before))
        self._before = bits.astype(bool)

    def over(self, alarm: Alarms) -> Alarms:
        """Held alarms of the rows [n] that follow those shown before; before the first row nothing is an alarm."""
        seen = np.concatenate([self._before, alarm])
        total = np.concatenate([[0], np.cumsum(seen)])
        self._before = seen[len(alarm) :]
        return np.asarray(total[len(self._before) + 1 :] - total[: len(alarm)] >= self._count)
