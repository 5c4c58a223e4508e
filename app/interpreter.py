"""Python's collector and lock, as suits a service while it answers."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

COLLECTED_AFTER = (50_000, 20, 100)
"""New objects after which the youngest are looked through for cycles, and so on; Python's own numbers begin at 700."""
SWITCH_SECONDS = 0.002
"""After which a thread that holds Python's lock lets go of it for another. Python's own 0.005 is what the event loop
would wait again and again while a thread reads a long body."""


@contextmanager
def tuned() -> Iterator[None]:
    """Spare the requests the collector's work, and the event loop the wait for threads.

    What was made to start stays, and what a request makes has no cycles.
    """
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
