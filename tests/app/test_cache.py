"""Costly values: made once, also when several threads ask at once."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from app.cache import Cache


def test_threads_that_ask_at_once_share_one_making() -> None:
    """Eight threads, one key: made once, and everyone gets the same object."""
    made: list[str] = []
    together = Barrier(8)

    def make(key: str) -> list[str]:
        made.append(key)
        time.sleep(0.05)
        return [key]

    cache = Cache(make, 4)

    def ask(_: int) -> list[str]:
        together.wait()
        return cache["pattern"]

    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(ask, range(8)))

    assert made == ["pattern"]
    assert all(value is values[0] for value in values)


def test_the_least_recently_asked_for_goes_first() -> None:
    """Of three keys in a cache of two the one not asked for again is made anew."""
    made: list[int] = []
    cache = Cache(lambda key: made.append(key), 2)

    for key in (1, 2, 1, 3, 1, 2):
        cache[key]

    assert made == [1, 2, 3, 2]


def test_a_failure_is_told_and_not_kept() -> None:
    """The next one who asks has it tried again."""
    attempts: list[int] = []

    def make(key: int) -> int:
        attempts.append(key)
        return 12 // (key - len(attempts))

    cache = Cache(make, 2)

    with pytest.raises(ZeroDivisionError):
        cache[1]
    assert cache[1] == -12
