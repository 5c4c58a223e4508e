import os

import pytest

from app import cpus


@pytest.mark.parametrize(
    ("said", "whole"),
    [("max 100000", None), ("max", None), ("", None), ("200000 100000\n", 2), ("150000 100000", 1), ("1000 100000", 1)],
)
def test_a_quota_is_told_in_whole_cpus(said: str, whole: int | None) -> None:
    """As a container engine writes it; half a CPU is one to run on."""
    assert cpus.of_quota(said) == whole


def test_no_more_cpus_than_this_process_may_use() -> None:
    """Those that it is pinned to, at most."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cpus.available() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= cpus.available() <= len(before)
