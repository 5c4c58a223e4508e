"""What the service counts about itself, in the text format of Prometheus."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.model import Model

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client learns, when it is imported, where processes share counters."""
MOST_CHILDREN = 1024
"""Counters that are found at once; there are hardly as many."""
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Stages(NamedTuple):
    """Seconds that an inference spent waiting, being read, being computed and being written."""

    queue: float
    compute_input: float
    compute_infer: float
    compute_output: float


class Metrics:
    """One service's counters; every application has its own, or shares them with the other workers of its service."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "nelbo_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "nelbo_request_seconds", "From request to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self._rows = Counter("nelbo_rows", "Rows answered.", ["verb"], registry=registry)
        model = ["model", "version"]
        self._inferences = Counter("nelbo_inferences", "Rows answered under /v2.", model, registry=registry)
        self._executions = Counter(
            "nelbo_inference_executions", "Batches computed for requests under /v2.", model, registry=registry
        )
        self._inference_requests = Counter(
            "nelbo_inference_requests", "Inference requests under /v2.", [*model, "outcome"], registry=registry
        )
        self._inference_seconds = Counter(
            "nelbo_inference_seconds", "What they took together.", [*model, "outcome"], registry=registry
        )
        self._stage_seconds = Counter(
            "nelbo_inference_stage_seconds",
            "What answered ones spent in each stage.",
            [*model, "stage"],
            registry=registry,
        )
        self._last_inference = Gauge(
            "nelbo_last_inference_timestamp_seconds",
            "When the last inference request under /v2 was answered.",
            model,
            registry=registry,
            multiprocess_mode="max",
        )
        self._bundle_loads = Counter(
            "nelbo_bundle_loads",
            "Bundles that a worker opened, or refused, at its start or when their folder changed.",
            ["result"],
            registry=registry,
        )
        self._bundle_info = Gauge(
            "nelbo_bundle_info",
            "1 for each bundle that is served, 0 for one that was.",
            ["name", "version", "digest"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._bundles_refused = Gauge(
            "nelbo_bundles_refused",
            "Versions that are not served as they lie in the folder of models now: see /models.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._child: Callable[..., Any] = lru_cache(MOST_CHILDREN)(lambda metric, *labels: metric.labels(*labels))
        """The one of a metric's counters that has these labels; `labels` looks for it more slowly."""

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered; `route` is a template, so that no client can make up labels."""
        self._child(self._requests, method, route, str(status)).inc()
        self._child(self._seconds, route).observe(seconds)

    def count_rows(self, verb: str, rows: int) -> None:
        """So many rows were answered by one of the four verbs."""
        self._child(self._rows, verb).inc(rows)

    def count_bundle_load(self, result: Literal["opened", "refused"]) -> None:
        """A bundle was opened, or must not be served."""
        self._child(self._bundle_loads, result).inc()

    def tell_bundles(self, before: Iterable[Model], now: Iterable[Model], refused: int) -> None:
        """Other models are served now than before, and so many versions are refused."""
        for value, models in ((0, before), (1, now)):
            for model in models:
                about = model.manifest.name, model.manifest.version, model.bundle.digest
                self._child(self._bundle_info, *about).set(value)
        self._bundles_refused.set(refused)

    def count_inference(self, model: str, version: int, rows: int, stages: Stages) -> None:
        """An inference request about so many rows was answered."""
        self._child(self._inferences, model, version).inc(rows)
        self._count_inference_request(model, version, "success", sum(stages))
        self._child(self._last_inference, model, version).set(time.time())
        for stage, seconds in zip(Stages._fields, stages, strict=True):
            self._child(self._stage_seconds, model, version, stage).inc(seconds)

    def count_execution(self, model: str, version: int) -> None:
        """The graphs ran once, for one inference request or for several together."""
        self._child(self._executions, model, version).inc()

    def count_failed_inference(self, model: str, version: int, seconds: float) -> None:
        """An inference request of a model that is served was refused, or failed."""
        self._count_inference_request(model, version, "failure", seconds)

    def collect(self) -> Iterable[Metric]:
        """What was counted, of all workers together."""
        return self._whole().collect()

    def exposition(self) -> bytes:
        """All of it, as a scrape reads it."""
        return generate_latest(self._whole())

    def _count_inference_request(self, model: str, version: int, outcome: str, seconds: float) -> None:
        self._child(self._inference_requests, model, version, outcome).inc()
        self._child(self._inference_seconds, model, version, outcome).inc(seconds)

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
        try:
            yield
        finally:
            del os.environ[FOLDER]
