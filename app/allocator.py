"""Memory that nobody uses any more, and that Python and the C library keep for the next who asks."""

import ctypes
import gc
import sys


def give_back() -> None:
    """Let the system have whole pages of it, where the C library is glibc; it holds up who asks for memory meanwhile.

    glibc by itself gives back what lies above all that is in use (malloc_trim(3)); what a model's opening and closing
    leave lies between what others hold, and would grow with every change of models. What is young is looked through for
    cycles before: numpy leaves some whenever it reads an archive, and Python by itself would come to them late.
    """
    gc.collect(0)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
