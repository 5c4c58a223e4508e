"""What the service counts about itself, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One service's counters; every application has its own, none is shared by the process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "nelbo_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "nelbo_request_seconds", "From request to answer.", ["route"], buckets=SECONDS, registry=self._registry
        )
        self._rows = Counter("nelbo_rows", "Rows answered.", ["verb"], registry=self._registry)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered; `route` is a template, so that no client can make up labels."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_rows(self, verb: str, rows: int) -> None:
        """So many rows were answered by one of the four verbs."""
        self._rows.labels(verb).inc(rows)

    def exposition(self) -> bytes:
        """All of it, as a scrape reads it."""
        return generate_latest(self._registry)
