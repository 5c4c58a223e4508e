"""What becomes of memory that is free: how much of it the process still holds."""

import gc
import subprocess
import sys
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


AFTER_A_LONG_BODY = """
from app.allocator import keep_little
from tests.app.test_allocator import resident

{first}
del (body := bytearray(16 * 2**20))[:], body
before = resident()
del (blocks := [bytes(100_000) for _ in range(100)])[:]
print(resident() - before)
"""
"""Blocks are made and let go of after a large one was; prints how many of their bytes are still held."""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is given back")
def test_what_is_free_above_what_is_in_use_goes_back_by_itself_also_after_a_long_body() -> None:
    """glibc by itself would keep it all: whether it did after a long body came down to what was freed last."""
    scripts = [AFTER_A_LONG_BODY.format(first=first) for first in ("keep_little()", "")]
    kept, usual = (int(subprocess.check_output([sys.executable, "-c", script])) for script in scripts)

    assert kept < 2 * 2**20
    assert usual > 5 * 2**20
