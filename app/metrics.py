"""What the service counts about itself, in the text format of Prometheus."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.registry import Collector

from app.backlog import Backlog
from app.health import Health, with_drift
from app.histogram import Histogram
from app.model import Model
from app.sharing import all_processes, take_place

MOST_CHILDREN = 1024
"""Counters that are found at once; there are hardly as many."""
SETTLE_SECONDS = 0.25
"""How long a value that was kept may take to show in another process's answer to a scrape."""
SECONDS = (
    1e-5,
    2e-5,
    5e-5,
    1e-4,
    2e-4,
    5e-4,
    1e-3,
    2.5e-3,
    5e-3,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)


class Stages(NamedTuple):
    """Seconds that an inference spent waiting, being read, being computed and being written."""

    queue: float
    compute_input: float
    compute_infer: float
    compute_output: float


class Metrics(Collector):
    """One service's counters; every application has its own, or shares them with the other workers of its service.

    What happens for every request and has a size is kept, and counted four times a second and when somebody asks.
    """

    def __init__(self) -> None:
        take_place()
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "nelbo_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "nelbo_request_seconds", "From request to answer.", ["route"], buckets=SECONDS, registry=registry
        )
        self._refusals = Counter(
            "nelbo_refusals", "Requests, and lines of streams, refused or given up.", ["reason"], registry=registry
        )
        self._in_flight = Gauge(
            "nelbo_requests_in_flight", "Requests being answered.", registry=registry, multiprocess_mode="livesum"
        )
        waiting = ["where"]
        self._waiting_questions = Gauge(
            "nelbo_waiting_questions",
            "Questions that are computed, or will be, on the event loop and in threads.",
            waiting,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waiting_seconds = Gauge(
            "nelbo_waiting_seconds",
            "What these are thought to take, one after another.",
            waiting,
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._rows = Counter("nelbo_rows", "Rows answered.", ["verb"], registry=registry)
        self._stages = Histogram(
            "nelbo_stage_seconds",
            "What a question took to be decoded, to wait, and to be encoded, and what a run of a graph took.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._batch_rows = Histogram(
            "nelbo_batch_rows", "Rows that a graph was asked about together.", buckets=ROWS, registry=registry
        )
        self._build = Gauge(
            "nelbo_build_info",
            "1, with the versions that run.",
            ["version", "onnxruntime", "python"],
            registry=registry,
            multiprocess_mode="max",
        )
        self._health = Health(registry)
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
        self.decoded = self._stages.labels("decode").keep
        """Take the seconds that a question took to be read and understood."""
        self.waited = self._stages.labels("queue").keep
        """Take the seconds that a question waited from then until a graph was asked."""
        self.encoded = self._stages.labels("encode").keep
        """Take the seconds that an answer took to be written."""
        self._computed = self._stages.labels("compute").keep
        self.requests_in_flight = 0
        """Requests of this process that are not answered yet."""
        self._backlogs: Mapping[str, Backlog] = {}
        self.see = self._health.see
        """Take rows that were scored by a model."""

    def tell_build(self, version: str, onnxruntime: str, python: str) -> None:
        """Which versions run."""
        self._build.labels(version, onnxruntime, python).set(1)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered; `route` is a template, so that no client can make up labels."""
        self._child(self._requests, method, route, str(status)).inc()
        self._child(self._seconds, route).keep(seconds)

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

    def count_refusal(self, reason: str) -> None:
        """A request, or a line of a stream, was refused, or given up; `reason` is the error's code."""
        self._child(self._refusals, reason).inc()

    def count_run(self, rows: int, seconds: float) -> None:
        """A graph was asked about so many rows together."""
        self._batch_rows.keep(rows)
        self._computed(seconds)

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

    @asynccontextmanager
    async def settled_regularly(self, backlogs: Mapping[str, Backlog]) -> AsyncIterator[None]:
        """Count what is kept, and look at what waits where, from time to time meanwhile and at the end."""
        self._backlogs = backlogs
        settling = asyncio.create_task(self._settle_for_ever())
        try:
            yield
        finally:
            settling.cancel()
            self.settle()

    def settle(self) -> None:
        """Count what is kept."""
        for histogram in (self._seconds, self._stages, self._batch_rows):
            histogram.settle()
        self._health.settle()
        self._in_flight.set(self.requests_in_flight)
        for where, backlog in self._backlogs.items():
            self._child(self._waiting_questions, where).set(backlog.pieces)
            self._child(self._waiting_seconds, where).set(backlog.seconds)

    def collect(self) -> Iterable[Metric]:
        """What was counted, of all workers together."""
        self.settle()
        return with_drift(all_processes(self._registry).collect())

    def exposition(self) -> bytes:
        """All of it, as a scrape reads it."""
        return generate_latest(self)

    async def _settle_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            self.settle()

    def _count_inference_request(self, model: str, version: int, outcome: str, seconds: float) -> None:
        self._child(self._inference_requests, model, version, outcome).inc()
        self._child(self._inference_seconds, model, version, outcome).inc(seconds)
