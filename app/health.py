"""What scored rows say of the plant and of the model: by model and version, for an operator."""

from collections.abc import Iterable, Iterator

import numpy as np
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.metrics_core import GaugeMetricFamily

from app.array import Array
from app.drift import THRESHOLD, Fading, Memory
from app.histogram import Histogram
from app.manifest import Manifest

P_VALUES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Where alarms begin closely, and evenly where a healthy plant is; 1 is the last."""
MOST_KEPT = 2**15
"""Readings that are kept until they are counted; counting so many holds up the event loop for less than a turn."""
MEMORY = "nelbo_drift_memory"
"""What the drift is made of; processes remember apart, and what they remember is added up before it is told."""


class Scored(Struct, frozen=True):
    """Rows that were scored and ranked: x [n, D], NaN where missing, p_value [n], and the rate that alarms were for."""

    x: Array
    p_value: Array
    rate: float


class Health:
    """What was scored by every model; rows are kept until they have `MOST_KEPT` readings, or `settle` is called."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._families = _Families(registry)
        self._models: dict[tuple[str, int], _Watched] = {}

    def see(self, manifest: Manifest, scored: Scored) -> None:
        """Rows were answered by this model."""
        watched = self._models.get((manifest.name, manifest.version))
        if watched is None or watched.manifest is not manifest:
            if watched is not None:
                watched.settle()
            watched = self._models[manifest.name, manifest.version] = _Watched(manifest, self._families)
        watched.keep(scored)

    def settle(self) -> None:
        """Count all that is kept."""
        for watched in self._models.values():
            watched.settle()


def with_drift(families: Iterable[Metric]) -> Iterator[Metric]:
    """The families, of all processes together, with the drift in the place of what it is made of."""
    for family in families:
        yield _drift(family) if family.name == MEMORY else family


def _drift(memory: Metric) -> Metric:
    told = (
        f"How much more surprising rows of late are than held-out ones, in standard deviations; {THRESHOLD:g} is much."
    )
    drift = GaugeMetricFamily("nelbo_drift", told, labels=["model", "version"])
    parts: dict[tuple[str, str], dict[str, float]] = {}
    for sample in memory.samples:
        about = (sample.labels["model"], sample.labels["version"])
        parts.setdefault(about, {})[sample.labels["part"]] = sample.value
    for about, remembered in parts.items():
        drift.add_metric(about, Memory(**remembered).drift)
    return drift


class _Families:
    """The metrics of all models."""

    def __init__(self, registry: CollectorRegistry) -> None:
        model, sensor = ["model", "version"], ["model", "version", "sensor"]
        self.rows = Counter("nelbo_scored_rows", "Rows scored and ranked.", model, registry=registry)
        self.p_value = Histogram(
            "nelbo_p_value",
            "Their p-values, of those with a reading: uniform where the plant is healthy.",
            model,
            buckets=(*P_VALUES, 1.0),
            registry=registry,
        )
        self.alarms = Counter(
            "nelbo_alarms", "Rows with a p-value at or below the rate asked for.", model, registry=registry
        )
        self.expected_alarms = Counter(
            "nelbo_expected_alarms", "Alarms that these rates allow a healthy plant.", model, registry=registry
        )
        self.out_of_range = Counter(
            "nelbo_readings_out_of_range", "Readings outside what training saw.", sensor, registry=registry
        )
        self.missing = Counter("nelbo_readings_missing", "Readings missing in scored rows.", sensor, registry=registry)
        self.memory = Gauge(
            MEMORY, "Parts of the drift.", [*model, "part"], registry=registry, multiprocess_mode="livesum"
        )


class _Watched:
    """One version of a model: what of its rows is not counted yet, and its own of all metrics."""

    def __init__(self, manifest: Manifest, families: _Families) -> None:
        self.manifest = manifest
        self._kept: list[Scored] = []
        self._readings_kept = 0
        self._least = np.array([sensor.min for sensor in manifest.sensors])
        self._most = np.array([sensor.max for sensor in manifest.sensors])
        self._fading = Fading.of(manifest)
        self._remembered = Memory()
        about = (manifest.name, str(manifest.version))
        self._rows = families.rows.labels(*about)
        self._p_value = families.p_value.labels(*about)
        self._alarms = families.alarms.labels(*about)
        self._expected_alarms = families.expected_alarms.labels(*about)
        self._out_of_range = [families.out_of_range.labels(*about, name) for name in manifest.sensor_names]
        self._missing = [families.missing.labels(*about, name) for name in manifest.sensor_names]
        self._memory = {part: families.memory.labels(*about, part) for part in Memory.__dataclass_fields__}

    def keep(self, scored: Scored) -> None:
        self._kept.append(scored)
        self._readings_kept += scored.x.size
        if self._readings_kept >= MOST_KEPT:
            self.settle()

    def settle(self) -> None:
        if not self._kept:
            return
        x = np.concatenate([scored.x for scored in self._kept])
        p_value = np.concatenate([scored.p_value for scored in self._kept])
        rate = np.repeat([scored.rate for scored in self._kept], [len(scored.p_value) for scored in self._kept])
        self._kept.clear()
        self._readings_kept = 0
        self._rows.inc(len(x))
        missing = np.isnan(x)
        _count(self._missing, missing.sum(axis=0))
        _count(self._out_of_range, ((x < self._least) | (x > self._most)).sum(axis=0))
        observed = ~missing.all(axis=1)  # a row without a reading has the p-value 1, which says nothing
        self._rank(p_value[observed], rate[observed])

    def _rank(self, p_value: Array, rate: Array) -> None:
        self._p_value.observe_all(p_value)
        self._alarms.inc(int((p_value <= rate).sum()))
        self._expected_alarms.inc(float(rate.sum()))
        self._remembered = self._fading.after(self._remembered, p_value)
        for part, gauge in self._memory.items():
            gauge.set(getattr(self._remembered, part))


def _count(counters: list[Counter], counts: Array) -> None:
    for sensor in np.flatnonzero(counts):
        counters[sensor].inc(int(counts[sensor]))
