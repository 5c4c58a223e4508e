"""The statistics of Triton's extension of the Open Inference Protocol, derived from what the metrics count."""

from collections.abc import Iterable, Sequence
from typing import Annotated

from prometheus_client.metrics_core import Metric
from pydantic import Field

from app.manifest import Manifest
from app.schemas import Wire


class Duration(Wire):
    """How often, and nanoseconds in all."""

    count: int
    ns: int


class InferStats(Wire):
    """Requests that were answered, those that were not, and what the answered ones spent their time with."""

    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    cache_hit: Duration
    cache_miss: Duration


class ModelStats(Wire):
    """What one version of a model was asked since the service started."""

    name: str
    version: str
    last_inference: Annotated[int, Field(description="Milliseconds since 1970; 0 for never")]
    inference_count: Annotated[int, Field(description="Rows answered")]
    execution_count: Annotated[int, Field(description="Batches computed, of one request or of several")]
    inference_stats: InferStats
    response_stats: Annotated[dict[str, Duration], Field(description="Empty: every request has one response")]
    batch_stats: Annotated[list[Duration], Field(description="Empty: batches are not told by their size")]
    memory_usage: Annotated[list[Duration], Field(description="Empty: memory is not told by model")]


class Statistics(Wire):
    """Of every version that was asked about."""

    model_stats: list[ModelStats]


def statistics(families: Iterable[Metric], models: Sequence[Manifest]) -> Statistics:
    """What the metrics' families say of these models; of one process's metrics or of several's summed."""
    counted = _Counted(families)
    return Statistics(model_stats=[_of_model(counted, model) for model in models])


class _Counted:
    """The samples of the metrics by name and labels; what was never counted is 0."""

    def __init__(self, families: Iterable[Metric]) -> None:
        samples = [sample for family in families for sample in family.samples]
        self._values = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}

    def __call__(self, name: str, model: Manifest, **labels: str) -> float:
        of_model = {"model": model.name, "version": str(model.version), **labels}
        return self._values.get((name, frozenset(of_model.items())), 0.0)


def _of_model(counted: _Counted, model: Manifest) -> ModelStats:
    def outcome(name: str) -> Duration:
        count = counted("nelbo_inference_requests_total", model, outcome=name)
        return _duration(count, counted("nelbo_inference_seconds_total", model, outcome=name))

    success = outcome("success")

    def stage(name: str) -> Duration:
        return _duration(success.count, counted("nelbo_inference_stage_seconds_total", model, stage=name))

    return ModelStats(
        name=model.name,
        version=str(model.version),
        last_inference=int(1000 * counted("nelbo_last_inference_timestamp_seconds", model)),
        inference_count=int(counted("nelbo_inferences_total", model)),
        execution_count=int(counted("nelbo_inference_executions_total", model)),
        inference_stats=InferStats(
            success=success,
            fail=outcome("failure"),
            queue=stage("queue"),
            compute_input=stage("compute_input"),
            compute_infer=stage("compute_infer"),
            compute_output=stage("compute_output"),
            cache_hit=_duration(0, 0),
            cache_miss=_duration(0, 0),
        ),
        response_stats={},
        batch_stats=[],
        memory_usage=[],
    )


def _duration(count: float, seconds: float) -> Duration:
    return Duration(count=int(count), ns=round(1e9 * seconds))
