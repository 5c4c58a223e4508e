"""What the service counts about itself, in the text format of Prometheus."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client learns, when it is imported, where processes share counters."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class _Kind:
    """The counters of one kind of request, found once."""

    answered: Counter
    seconds: Histogram


class Metrics:
    """One service's counters; every application has its own, or shares them with the other workers of its service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "nelbo_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "nelbo_request_seconds", "From request to answer.", ["route"], buckets=SECONDS, registry=self._registry
        )
        self._rows = Counter("nelbo_rows", "Rows answered.", ["verb"], registry=self._registry)
        self._kinds: dict[tuple[str, str, int], _Kind] = {}

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered; `route` is a template, so that no client can make up labels."""
        kind = self._kinds.get((method, route, status))
        if kind is None:
            kind = _Kind(self._requests.labels(method, route, str(status)), self._seconds.labels(route))
            self._kinds[method, route, status] = kind
        kind.answered.inc()
        kind.seconds.observe(seconds)

    def count_rows(self, verb: str, rows: int) -> None:
        """So many rows were answered by one of the four verbs."""
        self._rows.labels(verb).inc(rows)

    def collect(self) -> Iterable[Metric]:
        """What was counted, of all workers together."""
        return self._whole().collect()

    def exposition(self) -> bytes:
        """All of it, as a scrape reads it."""
        return generate_latest(self._whole())

    def _whole(self) -> CollectorRegistry:
        if FOLDER not in os.environ:
            return self._registry
        whole = CollectorRegistry()
        MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
        return whole


@contextmanager
def shared_between_processes() -> Iterator[None]:
    """Processes that are started meanwhile add up what they count."""
    with tempfile.TemporaryDirectory(prefix="nelbo-metrics-") as folder:
        os.environ[FOLDER] = folder
        yield
        del os.environ[FOLDER]
