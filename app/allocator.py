"""Memory that nobody uses any more, and that the C library keeps for the next who asks."""

import ctypes
import sys
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt(3), from glibc's malloc.h."""
LARGE = 2**20


def keep_little() -> None:
    """Have what is `LARGE` given back at once when it is free, for as long as the process lives.

    glibc would take a large block that is freed for a reason to keep twice as much from then on: after one long body
    16 MiB, or none, as it happens.
    """
    tell = _of_glibc("mallopt")
    if tell is not None:
        tell(M_MMAP_THRESHOLD, LARGE)
        tell(M_TRIM_THRESHOLD, LARGE)


def give_back() -> None:
    """Let the system have whole pages of it, where the C library is glibc; it holds up who asks for memory meanwhile.

    glibc by itself gives back what lies above all that is in use (malloc_trim(3)); what a model's opening and closing
    leave lies between what others hold, and would grow with every change of models.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Any:  # noqa: ANN401 - a foreign function, or None where there is none
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
