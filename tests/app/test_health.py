"""What the metrics say of scored rows."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.bundle import Bundle
from app.drift import THRESHOLD
from app.health import MOST_KEPT, Scored
from app.main import create_app
from app.metrics import Metrics
from app.settings import Settings
from tests.app.test_routes import FAR, USUAL
from tests.conftest import plant_rows

NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def fresh(settings: Settings) -> Iterator[TestClient]:
    """A service that nothing was asked yet."""
    with TestClient(create_app(settings)) as client:
        yield client


class Told:
    """The samples that a scrape reads, by name and labels."""

    def __init__(self, exposition: str) -> None:
        families = text_string_to_metric_families(exposition)
        self._values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        return self._values[name, frozenset(labels.items())]


def told(client: TestClient) -> Told:
    return Told(client.get("/metrics").text)


def of_plant(found: Told, name: str, **labels: str) -> float:
    return found(name, model="plant", version="2", **labels)


def test_every_way_to_score_is_seen(fresh: TestClient) -> None:
    """/score, a stream's lines and, where they are ranked, rows under /v2; with and without missing sensors."""
    rows = [USUAL, FAR, [None, 1013.0, 5.0, 3.0]]
    fresh.post("/score", json={"rows": rows})
    fresh.post("/score", content="\n".join(map(json.dumps, rows)), headers=NDJSON)
    x = {"name": "x", "shape": [2, 4], "datatype": "FP64", "data": [*USUAL, *FAR]}
    for outputs in (["score"], ["p_value"], ["score", "alarm", "latent_mean"]):
        asked = {"inputs": [x], "outputs": [{"name": name} for name in outputs]}
        assert fresh.post("/v2/models/plant/infer", json=asked).status_code == 200
    fresh.post("/encode", json={"rows": rows})
    found = told(fresh)

    assert of_plant(found, "nelbo_scored_rows_total") == of_plant(found, "nelbo_p_value_count") == 3 + 3 + 2 + 2
    assert of_plant(found, "nelbo_readings_out_of_range_total", sensor="temperature") == 4
    assert of_plant(found, "nelbo_readings_missing_total", sensor="temperature") == 2
    assert of_plant(found, "nelbo_readings_out_of_range_total", sensor="valve") == 0
    assert of_plant(found, "nelbo_alarms_total") == 4


def test_alarms_are_counted_beside_those_that_the_rates_allow(fresh: TestClient) -> None:
    """At each request's own rate: what was told, and how many alarms a healthy plant would have had."""
    fresh.post("/score", json={"rows": [USUAL] * 10})
    (p_value,) = fresh.post("/score", json={"rows": [USUAL]}).json()["p_value"]
    fresh.post("/score", json={"rows": [USUAL] * 4, "false_alarm_rate": 0.5})
    found = told(fresh)

    assert of_plant(found, "nelbo_alarms_total") == 4 * (p_value <= 0.5)
    assert of_plant(found, "nelbo_expected_alarms_total") == pytest.approx(11 * 0.01 + 4 * 0.5)


def test_p_values_are_counted_in_their_buckets(fresh: TestClient) -> None:
    """Each bucket holds the p-values up to its bound, so that of a healthy plant it holds that share."""
    p_values = fresh.post("/score", json={"rows": plant_rows(1000, seed=30).tolist()}).json()["p_value"]
    found = told(fresh)

    for bound in (0.01, 0.1, 0.5, 1.0):
        assert of_plant(found, "nelbo_p_value_bucket", le=str(bound)) == sum(p <= bound for p in p_values)
    assert of_plant(found, "nelbo_p_value_sum") == pytest.approx(sum(p_values))


def test_a_healthy_plant_does_not_drift_and_a_shifted_one_does(fresh: TestClient) -> None:
    """By the threshold that is documented."""
    fresh.post("/score", json={"rows": plant_rows(2000, seed=31).tolist()})
    healthy = of_plant(told(fresh), "nelbo_drift")
    shifted = plant_rows(2000, seed=32) + np.array([3.0, 0.0, 0.0, 0.0])
    fresh.post("/score", json={"rows": shifted.tolist()})

    assert abs(healthy) < THRESHOLD < of_plant(told(fresh), "nelbo_drift")


def test_a_row_without_a_reading_is_missing_and_nothing_else(fresh: TestClient) -> None:
    """Its p-value, 1 always, says nothing of the plant."""
    fresh.post("/score", json={"rows": [{}, {}]})
    found = told(fresh)

    assert of_plant(found, "nelbo_scored_rows_total") == 2
    assert of_plant(found, "nelbo_readings_missing_total", sensor="valve") == 2
    assert of_plant(found, "nelbo_p_value_count") == of_plant(found, "nelbo_expected_alarms_total") == 0


@pytest.mark.parametrize("rows", [1, 7, MOST_KEPT // 4 - 1, MOST_KEPT // 4, 3 * MOST_KEPT // 4 + 5])
def test_rows_are_counted_once_whenever(plant: Bundle, rows: int) -> None:
    """Kept or counted, by many or one at a time."""
    metrics = Metrics()
    x = plant_rows(rows, seed=33)
    for some in np.array_split(np.arange(rows), max(1, rows // 3)):
        metrics.see(plant.manifest, Scored(x[some], np.full(len(some), 0.25), 0.01))
    found = Told(metrics.exposition().decode())

    assert found("nelbo_scored_rows_total", model="plant", version="1") == rows
    assert found("nelbo_p_value_count", model="plant", version="1") == rows
    assert Told(metrics.exposition().decode())("nelbo_scored_rows_total", model="plant", version="1") == rows


def test_a_version_that_was_put_in_another_s_place_is_judged_by_its_own_sensors(plant: Bundle) -> None:
    """Its range is another, and it has not drifted yet; what the first counted stays counted."""
    metrics = Metrics()
    wide: Any = [sensor.model_copy(update={"max": 1e9}) for sensor in plant.manifest.sensors]
    changed = plant.manifest.model_copy(update={"sensors": tuple(wide)})
    far = Scored(np.array([FAR]), np.array([1e-3]), 0.01)
    metrics.see(plant.manifest, far)
    metrics.see(changed, far)
    found = Told(metrics.exposition().decode())

    about = {"model": "plant", "version": "1"}
    assert found("nelbo_scored_rows_total", **about) == 2
    assert found("nelbo_readings_out_of_range_total", sensor="temperature", **about) == 1
