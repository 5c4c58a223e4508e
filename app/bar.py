"""How far a file is, for the one who waits: a bar on a terminal, nothing anywhere else."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from tqdm import tqdm

from app.work import Extent


class Bar:
    """Tells what is done, the rows a second, and the time that is left."""

    def __init__(self, shown: "tqdm[None]") -> None:
        self._shown = shown
        self._begun = monotonic()
        self._rows = 0

    def tell(self, done: int, rows: int) -> None:
        """All that is done by now, in the extent's unit, and how many rows have just been."""
        self._rows += rows
        rate = self._rows / max(monotonic() - self._begun, 1e-9)
        self._shown.set_postfix_str(f"{rate:,.0f} rows/s", refresh=False)
        self._shown.update(done - self._shown.n)


@contextmanager
def bar(extent: Extent, done: int, quiet: bool) -> Iterator[Bar]:
    """A bar on standard error, from what is done already; none where `quiet`, or where nobody looks."""
    shape = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"
    disable = quiet or not sys.stderr.isatty()
    with tqdm(
        total=extent.total, initial=done, unit=extent.unit, unit_scale=True, bar_format=shape, disable=disable
    ) as shown:
        yield Bar(shown)
