"""A histogram of Prometheus for what happens often: values are kept, and counted many at a time."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import prometheus_client

from app.array import Array


class Histogram(prometheus_client.Histogram):
    """prometheus_client's, which takes its time for every value; keeping one here is an append.

    What is kept, on any thread, shows once it is settled.
    """

    def __init__(self, *names: Any, **settings: Any) -> None:  # noqa: ANN401 - as prometheus_client takes them
        super().__init__(*names, **settings)
        self._kept: list[float] = []
        self.keep = self._kept.append
        """Take one value, soon to be counted."""

    def settle(self) -> None:
        """Count what was kept: under these labels or, of a histogram that has labels, under each."""
        parent = bool(self._labelnames) and not self._labelvalues
        for child in [*cast("dict[Sequence[str], Histogram]", self._metrics).values()] if parent else [self]:
            count = len(child._kept)  # other threads may go on
            child.observe_all(np.array(child._kept[:count]))
            del child._kept[:count]

    def observe_all(self, values: Array) -> None:
        """Count all values [n] now: each in the first bucket whose bound is not below it, as `observe` does."""
        if not len(values):
            return
        buckets = np.searchsorted(self._upper_bounds, values, side="left")
        self._sum.inc(float(values.sum()))
        for bucket, count in enumerate(np.bincount(buckets)):
            if count:
                self._buckets[bucket].inc(int(count))
