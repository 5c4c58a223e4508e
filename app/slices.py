"""A long JSON array in slices of whole items, each short enough to be decoded at once."""

import re
from collections.abc import Iterator

LONG = 2**18
"""Bytes that are decoded at once: no more than a few milliseconds of them."""

_BETWEEN = re.compile(rb"[ \t\r\n]*+,?")


def slices(array: bytes, ends: bytes, whole: bool = False) -> Iterator[bytes]:
    """What stands between the brackets of a JSON array, in slices without the commas between them.

    An item ends behind one of the characters `ends`, or, where that is a comma, before it; a text that has these within
    an item too is sliced there as well, unless it is to stay `whole`.
    """
    start, stop = 1, len(array) - 1
    while start < stop:
        at = stop if whole else _first(array, ends, start + LONG, stop)
        end = at if ends == b"," else min(at + 1, stop)
        yield array[start:end]
        between = _BETWEEN.match(array, end, stop)
        assert between is not None, "nothing is something that it matches"
        start = between.end()


def _first(text: bytes, ends: bytes, start: int, stop: int) -> int:
    """Where the first of these characters is, from `start` on; `stop` where there is none."""
    for end in ends:
        found = text.find(end, start, stop)
        stop = stop if found < 0 else found
    return stop
