"""Every verb, every address and every refusal, as a client meets them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app import bundle
from app.bundle import Bundle
from app.main import create_app
from app.manifest import Manifest
from app.settings import Settings
from tests.conftest import as_format_2

USUAL = [20.0, 1013.0, 5.0, 3.0]
FAR = [2000.0, 1013.0, 5.0, 3.0]
VERBS = ("encode", "reconstruct", "sample", "score")
PREFIXES = ("", "/models/plant", "/models/plant/versions/1")
JSON = {"Content-Type": "application/json"}


def problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """The problem document in a response, which is whole and of this status and code."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    document: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= document.keys()
    assert (document["status"], document["code"]) == (status, code)
    assert document["request_id"] == response.headers["x-request-id"]
    assert len(response.content) <= 4096
    return document


def test_encode_answers_in_the_latent_space(client: TestClient) -> None:
    """mean and scale, [n][L]."""
    answer = client.post("/encode", json={"rows": [USUAL, FAR, {}]}).json()

    assert answer.keys() == {"model", "version", "mean", "scale"}
    assert (answer["model"], answer["version"]) == ("plant", 2)
    assert np.shape(answer["mean"]) == np.shape(answer["scale"]) == (3, 2)
    assert np.min(answer["scale"]) > 0


def test_reconstruct_answers_in_the_sensors_units(client: TestClient) -> None:
    """mean and scale, [n][D]; what is missing is filled in."""
    answer = client.post("/reconstruct", json={"rows": [USUAL, {"temperature": 22.0}]}).json()

    assert answer.keys() == {"model", "version", "mean", "scale"}
    assert np.shape(answer["mean"]) == np.shape(answer["scale"]) == (2, 4)
    assert np.min(answer["scale"]) > 0
    assert abs(answer["mean"][1][1] - 1013.0) < 40


def test_a_bound_comes_with_its_error(client: TestClient) -> None:
    """bound and bound_error [n], the same for the same seed; nothing observed has a bound of nothing."""
    question = {"rows": [USUAL, {"temperature": 20.0}, {}], "bound": {"draws": 64, "seed": 3}}

    answer, again = (client.post("/score", json=question).json() for _ in range(2))

    assert answer["bound"] == again["bound"]
    assert answer["bound"][0] == pytest.approx(answer["score"][0], abs=0.01)
    assert answer["bound"][1] == pytest.approx(answer["score"][1], abs=0.01)
    assert answer["bound_error"][1] > 0
    assert (answer["bound"][2], answer["bound_error"][2]) == (0, 0)


def test_a_row_is_completed_given_what_is_observed(client: TestClient) -> None:
    """Rows keep the given sensors and differ in the others; the first of more are fewer; all null is a free sample."""
    question = {"count": 50, "seed": 4, "given": {"temperature": 24.0, "valve": 3.0}}

    many = client.post("/sample", json=question).json()
    few = client.post("/sample", json={**question, "count": 5}).json()
    free = client.post("/sample", json={"count": 5, "seed": 4, "given": [None] * 4}).json()

    rows = np.array(many["rows"])
    assert (rows[:, 0] == 24.0).all()
    assert rows[:, 1].std() > 0
    assert few["rows"] == many["rows"][:5]
    assert free["rows"] == client.post("/sample", json={"count": 5, "seed": 4}).json()["rows"]


def test_a_bundle_of_the_format_before_answers_everything(models: Path, tmp_path: Path) -> None:
    """Format 2 draws latents by other noise, which no question shows."""
    as_format_2(bundle.read(models / "plant" / "1"), tmp_path)
    with TestClient(create_app(Settings(models=tmp_path, device="cpu"))) as client:
        asked = {"rows": [USUAL], "explain": True, "bound": {"draws": 8, "seed": 1}}
        told = client.post("/score", json=asked).json()
        assert told["bound"] == pytest.approx(told["score"], abs=1e-3)
        assert client.post("/sample", json={"given": [1, None, 1, 1]}).json()["rows"][0][0] == 1
        assert client.post("/reconstruct", json={"rows": [{"flow": 5.0}]}).status_code == 200


def test_sample_repeats_by_its_seed(client: TestClient) -> None:
    """The same seed draws the same rows, and the first rows of more are fewer."""
    many = client.post("/sample", json={"count": 20, "seed": 2**63 - 1}).json()
    few = client.post("/sample", json={"count": 10, "seed": 2**63 - 1}).json()
    other = client.post("/sample", json={"count": 10, "seed": 1}).json()

    assert many.keys() == {"model", "version", "rows", "seed"}
    assert np.shape(many["rows"]) == (20, 4)
    assert many["seed"] == 2**63 - 1
    assert many["rows"][:10] == few["rows"] != other["rows"]


def test_sample_tells_the_seed_it_chose(client: TestClient) -> None:
    """One row by default, from a seed that every JSON reader keeps exactly, and that draws the row again."""
    first, second = (client.post("/sample", json={}).json() for _ in range(2))
    again = client.post("/sample", json={"seed": first["seed"]}).json()

    assert len(first["rows"]) == 1
    assert first["seed"] < 2**53
    assert first["seed"] != second["seed"]
    assert again == first


def test_score_always_tells_the_same_fields(client: TestClient) -> None:
    """Arrays parallel to the rows, and the rate; alarm means that the p-value is at most the rate."""
    answer = client.post("/score", json={"rows": [USUAL, FAR]}).json()

    assert answer.keys() == {
        "model",
        "version",
        "score",
        "p_value",
        "alarm",
        "threshold",
        "n_observed",
        "false_alarm_rate",
    }
    assert answer["false_alarm_rate"] == 0.01
    assert answer["alarm"] == [False, True] == [p <= 0.01 for p in answer["p_value"]]
    assert answer["alarm"] == [s >= t for s, t in zip(answer["score"], answer["threshold"], strict=True)]
    assert answer["n_observed"] == [4, 4]


def test_explain_says_where_the_score_comes_from(client: TestClient) -> None:
    """score = kl + the sum of per_sensor; a sensor's band does not follow its own fault."""
    question = {"rows": [USUAL, FAR, {"pressure": 1013.0}], "explain": True}
    answer = client.post("/score", json=question).json()

    total = np.array(answer["kl"]) + np.sum(answer["per_sensor"], axis=1)
    np.testing.assert_allclose(answer["score"], total, rtol=1e-9)
    assert np.shape(answer["expected_mean"]) == np.shape(answer["expected_scale"]) == (3, 4)
    assert answer["expected_mean"][0][0] == answer["expected_mean"][1][0]
    assert answer["out_of_range"] == [[False] * 4, [True, False, False, False], [False] * 4]
    assert answer["per_sensor"][2][0] == 0.0
    assert int(np.argmax(answer["per_sensor"][1])) == 0
    assert int(np.argmax(answer["excess"][1])) == 0
    assert max(map(abs, answer["excess"][0])) < 5
    assert answer["excess"][2][0] == 0.0


def test_fdr_adds_discoveries(client: TestClient) -> None:
    """Which rows to report so that at most this share of the reports is false."""
    answer = client.post("/score", json={"rows": [USUAL, FAR], "fdr": 0.1}).json()

    assert answer["discovery"] == [False, True]


def test_nothing_observed_is_no_news(client: TestClient) -> None:
    """A row of nulls scores 0 with p-value 1."""
    answer = client.post("/score", json={"rows": [{}, [None] * 4], "explain": True}).json()

    assert answer["score"] == answer["kl"] == [0.0, 0.0]
    assert answer["per_sensor"] == [[0.0] * 4] * 2
    assert (answer["p_value"], answer["alarm"], answer["n_observed"]) == ([1.0, 1.0], [False, False], [0, 0])


def test_the_ends_of_float32_get_a_finite_score(client: TestClient) -> None:
    """What is accepted is answered, however far out."""
    answer = client.post("/score", json={"rows": [[3e38] * 4, [-3e38] * 4], "explain": True}).json()

    assert answer["alarm"] == [True, True]
    assert np.isfinite(answer["score"]).all()


def test_a_row_is_answered_the_same_alone_and_by_name(client: TestClient) -> None:
    """Neither its neighbours nor its form change a bit."""
    by_name = dict(zip(("valve", "flow", "pressure", "temperature"), reversed(USUAL), strict=True))
    together = client.post("/score", json={"rows": [FAR, USUAL, by_name]}).json()["score"]
    alone = client.post("/score", json={"rows": [USUAL]}).json()["score"]

    assert together[1:] == alone * 2


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_answers_at_the_root_and_below_models(client: TestClient, verb: str) -> None:
    """The root is the default model; a model is its highest version; a version is itself."""
    body: dict[str, Any] = {"seed": 1} if verb == "sample" else {"rows": [USUAL]}
    answers = [client.post(f"{prefix}/{verb}", json=body).json() for prefix in PREFIXES]

    assert [(answer["model"], answer["version"]) for answer in answers] == [("plant", 2), ("plant", 2), ("plant", 1)]


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_model_or_version_is_not_found(client: TestClient, verb: str) -> None:
    """The two are told apart; nothing that is no number names a version."""
    problem(client.post(f"/models/pump/{verb}", json={}), 404, "model-not-found")
    problem(client.post(f"/models/%2e%2e/{verb}", json={}), 404, "model-not-found")
    for version in ("3", "0", "-1", "01", "1.0", "x", "９", "9" * 5000):
        problem(client.post(f"/models/plant/versions/{version}/{verb}", json={}), 404, "version-not-found")


def test_the_models_are_listed(client: TestClient) -> None:
    """Name, the version that answers, all versions, whether it answers at the root, and the device."""
    listed = client.get("/models").json()

    assert listed == {
        "models": [{"name": "plant", "version": 2, "versions": [1, 2], "default": True, "device": "cpu"}],
        "refused": [],
    }


def test_what_is_refused_is_listed_with_its_reason(models: Path, tmp_path: Path) -> None:
    """Without a folder of this machine; and what is served is told as ever."""
    shutil.copytree(models, tmp_path / "models")
    (tmp_path / "models" / "plant" / "2" / bundle.SCORE).write_bytes(b"")
    with TestClient(create_app(Settings(models=tmp_path / "models", device="cpu", watch_seconds=0))) as client:
        response = client.get("/models")

    (refused,) = response.json()["refused"]
    assert refused["reason"].startswith("score.onnx: SHA-256 is e3b0c442")
    assert (refused["name"], refused["version"], refused["served"]) == ("plant", 2, False)
    assert [model["versions"] for model in response.json()["models"]] == [[1]]
    assert str(tmp_path) not in response.text


@pytest.mark.parametrize("path", ["/score", "/models/plant/versions/1/score", "/v2/models/plant/infer"])
def test_an_answer_names_the_bundle_that_made_it(client: TestClient, models: Path, path: str) -> None:
    """Its name, its version, and the beginning of what sha256sum says of SHA256SUMS; an error names none."""
    version = 1 if "versions" in path else 2
    digest = bundle.sha256(models / "plant" / str(version) / bundle.SUMS)
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": USUAL}
    question: dict[str, Any] = {"inputs": [tensor]} if path.startswith("/v2") else {"rows": [USUAL]}

    assert client.post(path, json=question).headers["x-model-version"] == f"plant@{version}+{digest[:12]}"
    assert "x-model-version" not in client.post(path, json={}).headers


def test_a_model_tells_its_sensors_and_limits(client: TestClient) -> None:
    """The manifest's public part, for the model and for each version."""
    model, version = client.get("/models/plant").json(), client.get("/models/plant/versions/1").json()

    assert [(sensor["name"], sensor["unit"]) for sensor in model["sensors"]] == [
        ("temperature", "°C"),
        ("pressure", "mbar"),
        ("flow", "m³/h"),
        ("valve", None),
    ]
    assert (model["version"], model["default"], version["version"], version["default"]) == (2, True, 1, False)
    assert model["limits"]["rows"] == 16384
    assert model["limits"]["false_alarm_rate"] == {"least": 0.001, "most": 0.5, "default": 0.01}
    assert "command" not in str(model)


def test_the_root_says_where_to_go(client: TestClient) -> None:
    """Name, version, and links that all lead somewhere."""
    answer = client.get("/").json()

    assert (answer["name"], answer["model"], answer["docs"]) == ("nelbo", "plant", "/docs")
    assert {client.get(link).status_code for link in answer["links"].values()} == {200}


def test_probes_answer(client: TestClient) -> None:
    """Live and ready are different addresses."""
    assert client.get("/health/live").json() == {"status": "live"}
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_rows_and_requests_are_counted(settings: Settings) -> None:
    """By verb, and by route and status; an address that does not exist is no label of its own."""
    with TestClient(create_app(settings)) as client:
        client.post("/score", json={"rows": [USUAL] * 3})
        client.post("/models/plant/score", json={"rows": [USUAL]})
        client.post("/score", json={})
        client.get("/no/such/address")
        client.request("BREW", "/")
        told = client.get("/metrics").text

    assert 'nelbo_rows_total{verb="score"} 4.0' in told
    assert 'nelbo_requests_total{method="POST",route="/score",status="200"} 1.0' in told
    assert 'nelbo_requests_total{method="POST",route="/models/{name}/score",status="200"} 1.0' in told
    assert 'nelbo_requests_total{method="POST",route="/score",status="422"} 1.0' in told
    assert 'nelbo_requests_total{method="GET",route="unmatched",status="404"} 1.0' in told
    assert 'nelbo_requests_total{method="other"' in told
    assert "/no/such/address" not in told


def test_two_applications_count_apart(settings: Settings) -> None:
    """Nothing is shared by the process."""
    with TestClient(create_app(settings)) as one, TestClient(create_app(settings)) as other:
        one.get("/models")

        assert 'route="/models"' in one.get("/metrics").text
        assert 'route="/models"' not in other.get("/metrics").text


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "unsupported-media-type"),
        ({"Content-Type": ""}, "unsupported-media-type"),
        ({"Content-Type": "text/plain"}, "unsupported-media-type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "unsupported-media-type"),
        ({"Content-Type": "application/json; charset=latin-1"}, "unsupported-charset"),
        ({"Content-Type": "application/json; charset=utf-16"}, "unsupported-charset"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "unsupported-coding"),
        ({"Content-Type": "application/json", "Content-Encoding": "identity, gzip"}, "unsupported-coding"),
    ],
)
def test_only_plain_json_is_read(client: TestClient, headers: dict[str, str], code: str) -> None:
    """Other media types, charsets and codings are 415, and the answer says what is read."""
    response = client.post("/score", content=b'{"rows": [[1,1,1,1]]}', headers=headers)

    problem(response, 415, code)
    assert (response.headers["accept"], response.headers["accept-encoding"]) == (
        "application/json, application/x-ndjson",
        "identity",
    )


@pytest.mark.parametrize("media", ["application/json", "Application/JSON", 'application/json; charset="UTF-8"'])
def test_json_may_say_that_it_is_utf_8(client: TestClient, media: str) -> None:
    """Case and a charset of UTF-8 do not matter."""
    response = client.post("/score", content=b'{"rows": [[1,1,1,1]]}', headers={"Content-Type": media})

    assert response.status_code == 200


@pytest.mark.parametrize("coding", ["", "identity", "Identity"])
def test_a_body_may_say_that_it_has_no_coding(client: TestClient, coding: str) -> None:
    """An empty list of codings is none (RFC 9110, 8.4)."""
    response = client.post("/score", json={"rows": [[1, 1, 1, 1]]}, headers={"Content-Encoding": coding})

    assert response.status_code == 200


def test_limits_are_settings(models: Path) -> None:
    """Bytes, rows, rows to explain, rows to sample and patterns: each limit is kept and told."""
    limits = Settings(
        models=models,
        device="cpu",
        max_body_bytes=300,
        max_rows=4,
        max_explained_values=8,
        max_sample_values=12,
        max_bound_draws=20,
        max_patterns=2,
    )
    with TestClient(create_app(limits)) as client:
        assert client.post("/score", json={"rows": [USUAL] * 4}).status_code == 200
        told = problem(client.post("/score", json={"rows": [USUAL] * 5}), 422, "too-many-rows")
        assert told["errors"] == [{"pointer": "/rows", "detail": "expected at most 4 rows"}]
        told = problem(client.post("/score", json={"rows": [USUAL] * 3, "explain": True}), 422, "too-many-rows")
        assert "at most 2" in told["detail"]
        bound = {"rows": [USUAL] * 3, "bound": {"draws": 7, "seed": 0}}
        told = problem(client.post("/score", json=bound), 422, "too-many-rows")
        assert "at most 2" in told["detail"]
        told = problem(client.post("/sample", json={"count": 4}), 422, "too-many-rows")
        assert "at most 3" in told["detail"]
        question = {"rows": [{"flow": 5}, {"valve": 3}, {}]}
        problem(client.post("/score", json=question), 422, "too-many-patterns")
        shown = client.get("/models/plant").json()["limits"]
        del shown["false_alarm_rate"]
        assert shown == {
            "body_bytes": 300,
            "rows": 4,
            "explained_rows": 2,
            "bound_draws": 20,
            "sampled_rows": 3,
            "patterns": 2,
        }


def test_a_body_may_be_as_long_as_the_limit(models: Path) -> None:
    """The limit itself is accepted; one byte more is 413, whether announced or not."""
    body = b'{"rows": [[1,1,1,1]]}'
    limits = Settings(models=models, device="cpu", max_body_bytes=len(body))
    with TestClient(create_app(limits)) as client:
        assert client.post("/score", content=body, headers=JSON).status_code == 200
        assert client.post("/score", content=iter([body[:9], body[9:]]), headers=JSON).status_code == 200
        for longer in (body + b" ", iter([body, b" "])):
            response = client.post("/score", content=longer, headers=JSON)
            problem(response, 413, "body-too-large")
            assert response.headers["connection"] == "close"


def test_a_model_with_few_held_out_rows_has_a_default_rate(models: Path, tmp_path: Path) -> None:
    """Twenty rows can vouch for no rate below 1/21, so that is the default: leaving it out is never an error."""
    shutil.copytree(models / "plant" / "1", tmp_path / "plant" / "1")
    folder = tmp_path / "plant" / "1"
    with np.load(folder / bundle.CALIBRATION) as stored:
        arrays = dict(stored)
    np.savez(folder / bundle.CALIBRATION, scores=arrays["scores"][:20], rows=arrays["rows"][:20])
    manifest = Manifest.model_validate_json((folder / bundle.MANIFEST).read_bytes())
    bundle.seal(
        folder,
        manifest.model_copy(update={"calibration": manifest.calibration.model_copy(update={"rows": 20})}),
    )

    with TestClient(create_app(Settings(models=tmp_path, device="cpu"))) as client:
        answer = client.post("/score", json={"rows": [FAR, {"flow": 900.0}]}).json()

    assert answer["false_alarm_rate"] == 1 / 21
    assert answer["alarm"] == [True, True]


def test_a_model_with_a_tail_answers_rates_below_its_ranks(tailed: Bundle) -> None:
    """1e-4 of 6000 held-out rows: asked for, told in the model's limits, and refused with them only beyond."""
    folder = tailed.path.parents[1]
    with TestClient(create_app(Settings(models=folder, device="cpu"))) as client:
        answer = client.post("/score", json={"rows": [USUAL, FAR, {"flow": 900.0}], "false_alarm_rate": 1e-4}).json()
        told = problem(
            client.post("/score", json={"rows": [USUAL], "false_alarm_rate": 1e-5}), 422, "rate-out-of-range"
        )
        model = client.get("/models/tailed").json()

    assert answer["alarm"] == [False, True, True]
    assert answer["p_value"][1:] == pytest.approx([1 / 60_000, 1 / 20_000])
    assert "from 1.66667e-05 to 0.5" in told["detail"]
    assert model["limits"]["false_alarm_rate"]["least"] == model["calibration"]["tail"]["least_rate"] == 1 / 60_000
    assert (model["calibration"]["order"]["split"], model["calibration"]["interval_seconds"]) == ("random", 3600)


@pytest.mark.parametrize("path", ["/no/such/address", "/score/", "/models/", "/static/swagger-ui.css", "/redoc"])
def test_an_unknown_address_is_a_problem_too(client: TestClient, path: str) -> None:
    """404, with no redirect that would repeat the Host header."""
    problem(client.get(path), 404, "not-found")


@pytest.mark.parametrize("path", ["/", "/models", "/models/plant", "/health/ready", "/metrics", "/v2", "/docs"])
def test_head_is_what_get_is_without_a_body(client: TestClient, path: str) -> None:
    """RFC 9110, 9.3.2: as who watches whether the service is up may ask."""
    asked, told = client.get(path), client.head(path)

    assert (told.status_code, told.content, told.headers["content-type"]) == (200, b"", asked.headers["content-type"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/score", "POST"),
        ("PUT", "/models/plant/score", "POST"),
        ("DELETE", "/models", "GET, HEAD"),
        ("POST", "/models/plant", "GET, HEAD"),
        ("OPTIONS", "/sample", "POST"),
        ("TRACE", "/", "GET, HEAD"),
        ("HEAD", "/encode", "POST"),
    ],
)
def test_another_method_is_told_which_to_use(client: TestClient, method: str, path: str, allowed: str) -> None:
    """405 with the header Allow."""
    response = client.request(method, path)

    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    if method != "HEAD":
        problem(response, 405, "method-not-allowed")
