"""The processor that a number was measured on."""

from pathlib import Path


def processor() -> str:
    """Its model, as the kernel tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.split(":")[1].strip() for line in lines if "model name" in line)
