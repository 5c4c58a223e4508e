"""What is under deploy/ for those who watch the service asks for metrics that it has."""

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.drift import THRESHOLD
from app.main import create_app
from app.settings import Settings

DEPLOY = Path(__file__).parents[1] / "deploy"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
PAGE = (DEPLOY / "observability.md").read_text(encoding="utf-8")
OF_PROMETHEUS = {"up": {"job", "instance"}}
"""Metrics that Prometheus makes itself, and the labels that it puts on every other."""
ASKED = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in RULES),
    *(pytest.param(target["expr"], id=panel["title"]) for panel in PANELS for target in panel["targets"]),
]


@pytest.fixture(scope="module")
def exposed(models: Path) -> dict[str, set[str]]:
    """The metrics of a service that was asked a few things, and the labels of each."""
    with TestClient(create_app(Settings(models=models, device="cpu"))) as client:
        client.post("/score", json={"rows": [[2000.0, 1013.0, 5.0, 3.0], {"flow": 5.0}]})
        client.post("/v2/models/plant/infer", json={"inputs": []})
        x = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": [20.0, 1013.0, 5.0, 3.0]}
        client.post("/v2/models/plant/infer", json={"inputs": [x]})
        told = client.get("/metrics").text
    metrics: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(told):
        for sample in family.samples:
            metrics.setdefault(sample.name, set()).update(sample.labels)
    return metrics


def as_prometheus_gets_it(expression: str) -> str:
    """Grafana puts its variables in before it asks."""
    return expression.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$model", ".*")


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """Every metric that an expression asks for, with its matchers."""
    found: list[promql_parser.VectorSelector] = []

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.MatrixSelector):
            found.append(part.vector_selector)
        elif isinstance(part, promql_parser.VectorSelector):
            found.append(part)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return found


@pytest.mark.parametrize("expression", ASKED)
def test_an_expression_asks_for_what_there_is(exposed: dict[str, set[str]], expression: str) -> None:
    """It is PromQL, and each metric and each label in it is one that a running service has."""
    text = as_prometheus_gets_it(expression)
    asked = selectors(text)

    assert asked
    known = exposed | OF_PROMETHEUS
    labels: set[str] = set(OF_PROMETHEUS["up"])
    for selector in asked:
        assert selector.name in known
        labels |= known[selector.name]
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched <= known[selector.name] | OF_PROMETHEUS["up"], selector.name
    for grouped in re.findall(r"\b(?:by|on|without|ignoring) ?\(([^)]*)\)", text):
        assert {label.strip() for label in grouped.split(",")} <= labels


@pytest.mark.parametrize("expression", ["nelbo_rows_total[", "sum(", "nelbo_rows_total / / 2"])
def test_what_is_no_promql_would_show(expression: str) -> None:
    """The parser refuses it."""
    with pytest.raises(ValueError, match=r"unexpected|unclosed|invalid"):
        selectors(expression)


def test_the_variables_of_the_dashboard_exist(exposed: dict[str, set[str]]) -> None:
    """Each asks Prometheus for the values that a label of a metric has."""
    queries = [variable["query"] for variable in BOARD["templating"]["list"] if variable["type"] == "query"]

    assert queries
    for query in queries:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert label in exposed[metric] | OF_PROMETHEUS["up"]


def test_panels_have_places_of_their_own() -> None:
    """No two overlap, none has another's number, and none is wider than the board."""
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_every_alert_is_explained() -> None:
    """In the page, with what to do; its threshold of drift is the one that the service documents."""
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert {"summary", "description"} <= rule["annotations"].keys()
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert f"| `{rule['alert']}` |" in PAGE
    (drift,) = (rule for rule in RULES if rule["alert"] == "NelboDrift")
    assert drift["expr"].endswith(f" > {THRESHOLD:g}")


def test_every_metric_is_explained(exposed: dict[str, set[str]]) -> None:
    """Each that the service has is in the page's table."""
    families = {re.sub(r"_(total|created|bucket|sum|count)$", "", name) for name in exposed}
    told = {re.sub(r"_total$", "", name) for name in re.findall(r"`(nelbo_\w+)", PAGE)}

    assert families <= told
    assert told <= families
