"""How many CPUs this process may use: those of its container, not of the host."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
QUOTA_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
PERIOD_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def available() -> int:
    """The CPUs that the scheduler lets it have, or the container's quota of CPU time where that is less; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = of_quota(_quota())
    return allowed if quota is None else min(allowed, quota)


def of_quota(said: str) -> int | None:
    """The whole CPUs in a quota as cgroup v2 writes it, `microseconds period`; None where there is none."""
    quota, _, period = said.partition(" ")
    if not (quota.isdigit() and period.strip().isdigit()):
        return None
    return max(1, int(quota) // int(period))


def _quota() -> str:
    try:
        if QUOTA.exists():
            return QUOTA.read_text()
        return f"{QUOTA_V1.read_text().strip()} {PERIOD_V1.read_text().strip()}"
    except OSError:  # no such groups here, or not for us to read: then nothing limits us
        return "max"
