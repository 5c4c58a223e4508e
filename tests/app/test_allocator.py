"""What becomes of memory that is free: how much of it the process still holds."""

import gc
import sys
import weakref
from pathlib import Path

import pytest

from app.allocator import give_back

BLOCK, BLOCKS = 4096, 20_000


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def scattered() -> list[bytes]:
    """One of a hundred blocks: those between them are free, and lie below what is in use."""
    blocks = [bytes([n % 256]) * BLOCK for n in range(BLOCKS)]
    return blocks[::100]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is given back")
def test_what_is_free_between_what_is_in_use_goes_back_to_the_system() -> None:
    gc.collect()
    give_back()
    before = resident()
    held = scattered()
    full = resident()
    give_back()
    assert full - before > BLOCK * BLOCKS / 2  # the C library keeps it by itself
    assert resident() - before < BLOCK * BLOCKS / 10
    assert [block[0] for block in held[:3]] == [0, 100, 200]  # and what is in use stays as it is


def test_cycles_that_nobody_holds_go_as_well() -> None:
    """Those of numpy's archives would stay for long: the collector is told to come seldom."""

    class Ring:
        """Holds itself."""

        def __init__(self) -> None:
            self.itself = self

    gc.collect()
    gc.disable()
    try:
        gone = weakref.ref(Ring())
        assert gone() is not None
        give_back()
        assert gone() is None
    finally:
        gc.enable()
