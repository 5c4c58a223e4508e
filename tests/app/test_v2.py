"""The Open Inference Protocol, version 2, as a plain HTTP client meets it."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from app.array import Array
from app.infer_body import HEADER
from app.main import create_app
from app.settings import Settings
from tests.conftest import plant_rows

MODELS = Path(__file__).parents[2] / "models"
USUAL = [20.0, 1013.0, 5.0, 3.0]
FAR = [2000.0, 1013.0, 5.0, 3.0]
INFER = "/v2/models/plant/infer"
BINARY = {"binary_data_output": True}
OUTPUTS = {
    "score": [],
    "kl": [],
    "per_sensor": [4],
    "p_value": [],
    "alarm": [],
    "latent_mean": [2],
    "latent_scale": [2],
    "expected_mean": [4],
    "expected_scale": [4],
}


def asked(rows: list[list[Any]], **more: object) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [len(rows), 4], "datatype": "FP64", "data": rows}]} | more


def wanted(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def told(response: Response) -> dict[str, Array]:
    """The outputs of an answer as they arrived, by name; JSON or raw."""
    assert response.status_code == 200, response.text
    end = int(response.headers.get(HEADER, len(response.content)))
    behind, arrays = response.content[end:], {}
    for output in json.loads(response.content[:end])["outputs"]:
        dtype = {"FP64": "<f8", "BOOL": "?"}[output["datatype"]]
        if "data" in output:
            array = np.array(output["data"], dtype=dtype)
        else:
            size = output["parameters"]["binary_data_size"]
            array, behind = np.frombuffer(behind[:size], dtype), behind[size:]
        arrays[output["name"]] = array.reshape(output["shape"])
    assert behind == b""
    return arrays


def error(response: Response, status: int) -> str:
    """The text of an error, which is the protocol's and no problem document."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert response.json().keys() == {"error"}
    assert response.headers["x-request-id"]
    return str(response.json()["error"])


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
def test_the_service_tells_what_it_is(client: TestClient, path: str) -> None:
    """With and without a slash, since clients ask for either and follow no redirect."""
    answer = client.get(path, follow_redirects=False).json()

    assert answer.keys() == {"name", "version", "extensions"}
    assert {"binary_tensor_data", "model_repository", "statistics"} <= set(answer["extensions"])


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready"])
def test_health_has_both_keys(client: TestClient, path: str) -> None:
    """One client reads `live`, another `ready`."""
    assert client.get(path).json() == {"live": True, "ready": True}


@pytest.mark.parametrize("path", ["/v2/models/plant", "/v2/models/plant/versions/1", "/v2/models/pl%61nt"])
def test_a_model_tells_what_it_takes_and_gives(client: TestClient, path: str) -> None:
    """And the answer has the names, the datatypes and the shapes that it tells, in that order."""
    metadata = client.get(path).json()
    answer = client.post(f"{path}/infer", json=asked([USUAL, FAR])).json()

    assert (metadata["name"], metadata["versions"], metadata["platform"]) == ("plant", ["1", "2"], "onnx_onnxv1")
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP64", "shape": [-1, 4]}]
    assert {output["name"]: output["shape"] for output in metadata["outputs"]} == {
        name: [-1, *axes] for name, axes in OUTPUTS.items()
    }
    assert (answer["model_name"], answer["model_version"]) == ("plant", "1" if "versions" in path else "2")
    for output, of_model in zip(answer["outputs"], metadata["outputs"], strict=True):
        assert (output["name"], output["datatype"]) == (of_model["name"], of_model["datatype"])
        assert output["shape"] == [2, *of_model["shape"][1:]]


@pytest.mark.parametrize("path", ["/v2/models/plant/ready", "/v2/models/plant/versions/1/ready"])
def test_a_model_that_is_served_is_ready(client: TestClient, path: str) -> None:
    """It would not be served otherwise."""
    assert client.get(path).json() == {"name": "plant", "ready": True}


@pytest.mark.parametrize("parameters", [{}, BINARY], ids=["json", "binary"])
def test_an_inference_is_what_the_verbs_answer(client: TestClient, parameters: dict[str, bool]) -> None:
    """To the bit, with missing sensors too."""
    rows = [*plant_rows(3, seed=5).tolist(), [None, 1013.0, None, 3.0], FAR, [None] * 4]
    scored = client.post("/score", json={"rows": rows, "explain": True}).json()
    encoded = client.post("/encode", json={"rows": rows}).json()

    arrays = told(client.post(INFER, json=asked(rows, parameters=parameters)))

    for name in ("score", "kl", "per_sensor", "p_value", "alarm", "expected_mean", "expected_scale"):
        assert arrays[name].tolist() == scored[name], name
    for name in ("mean", "scale"):
        assert arrays[f"latent_{name}"].tolist() == encoded[name]


def test_a_row_has_the_same_score_in_every_format(client: TestClient) -> None:
    """Whether it came as JSON, as raw bytes, sensor by sensor or as nothing but bytes."""
    x = plant_rows(5, seed=6)
    expected = client.post("/score", json={"rows": x.tolist()}).json()["score"]
    names = ("temperature", "pressure", "flow", "valve")
    columns = [
        {"name": name, "shape": [5], "datatype": "FP64", "data": x[:, index].tolist()}
        for index, name in enumerate(names)
    ]
    heading = {"name": "x", "shape": [5, 4], "datatype": "FP64", "parameters": {"binary_data_size": x.nbytes}}
    text = json.dumps({"inputs": [heading]}).encode()

    answers = [
        client.post(INFER, json=asked(x.tolist())),
        client.post(INFER, json={"inputs": columns[::-1]}),
        client.post(INFER, content=text + x.tobytes(), headers={HEADER: str(len(text))}),
        client.post(INFER, content=x.tobytes(), headers={HEADER: "0"}),
    ]

    for answer in answers:
        assert told(answer)["score"].tolist() == expected


def test_outputs_come_in_the_order_that_they_are_asked_for(client: TestClient) -> None:
    """Each as JSON or raw as it asks; the header and the media type tell where raw tensors follow."""
    outputs = [{"name": "kl"}, {"name": "alarm", "parameters": {"binary_data": True}}, {"name": "score"}]
    mixed = client.post(INFER, json=asked([USUAL, FAR], outputs=outputs))
    plain = client.post(INFER, json=asked([USUAL, FAR], outputs=outputs[:1]))

    assert list(told(mixed)) == ["kl", "alarm", "score"]
    assert told(mixed)["alarm"].tolist() == [False, True]
    assert mixed.headers["content-type"] == "application/octet-stream"
    assert len(mixed.content) == int(mixed.headers[HEADER]) + 2
    assert plain.headers["content-type"] == "application/json"
    assert HEADER not in plain.headers


def test_the_rate_of_false_alarms_may_be_asked_for(client: TestClient) -> None:
    """As a parameter of the request, within what the model can vouch for."""
    x = plant_rows(200, seed=7).tolist()

    def alarms(rate: float) -> int:
        body = asked(x, outputs=wanted("alarm"), parameters={"false_alarm_rate": rate})
        return int(told(client.post(INFER, json=body))["alarm"].sum())

    assert alarms(0.001) < alarms(0.1) < alarms(0.5)
    refused = client.post(INFER, json=asked(x, outputs=wanted("alarm"), parameters={"false_alarm_rate": 0.6}))
    assert "false_alarm_rate: expected from 0.001 to 0.5" in error(refused, 400)


def test_a_rate_that_a_row_cannot_answer_is_refused_as_by_the_verbs() -> None:
    """Of a row with a missing sensor fewer held-out rows tell: it would never alarm."""
    rows = [[None, *[1e5] * 10]]
    with TestClient(create_app(Settings(models=MODELS, device="cpu"))) as client:
        for outputs in (("alarm",), ("alarm", "latent_mean")):
            body = asked(rows, outputs=wanted(*outputs), parameters={"false_alarm_rate": 2e-5})
            body["inputs"][0]["shape"] = [1, 11]
            refused = client.post("/v2/models/gas-turbine/infer", json=body)
            verb = client.post("/score", json={"rows": rows, "false_alarm_rate": 2e-5})

            assert "held-out rows with the same sensors cannot vouch" in error(refused, 400)
            assert verb.json()["detail"] == error(refused, 400)
            assert client.post("/v2/models/gas-turbine/infer", json=body | {"parameters": {}}).status_code == 200


def test_an_id_comes_back(client: TestClient) -> None:
    """Where one was given."""
    assert client.post(INFER, json=asked([USUAL], id="a-7")).json()["id"] == "a-7"
    assert "id" not in client.post(INFER, json=asked([USUAL])).json()


def test_no_media_type_is_asked_for(client: TestClient) -> None:
    """The stock clients send none, or one that is not what follows."""
    body = json.dumps(asked([USUAL], outputs=wanted("score"))).encode()
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/octet-stream"}):
        assert client.post(INFER, content=body, headers=headers).status_code == 200


def test_the_worked_request_of_the_protocol_is_read(client: TestClient) -> None:
    """135 bytes of JSON and 24 of FP32: all is well but the model, which has four sensors."""
    text = (
        b'{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP32","parameters":{"binary_data_size":24}}],'
        b'"parameters":{"binary_data_output":true}}'
    )
    response = client.post(INFER, content=text + bytes(24), headers={HEADER: "135"})

    assert error(response, 400) == (
        "inputs[0]: expected the shape [n, 4], rows and sensors, found [2, 3]; one row has the shape [1, 4]."
    )


def test_too_many_rows_to_explain_are_told_what_else_to_ask(settings: Settings) -> None:
    """All outputs are explanations too; without these the same rows are answered."""
    few = settings.model_copy(update={"max_explained_values": 8})
    with TestClient(create_app(few)) as client:
        refused = error(client.post(INFER, json=asked([USUAL] * 3)), 400)
        others = refused.removesuffix(".").rpartition("outputs ")[2].split(", ")

        assert "at most 2 rows" in refused
        assert list(told(client.post(INFER, json=asked([USUAL] * 3, outputs=wanted(*others))))) == others
        assert client.post(INFER, json=asked([USUAL] * 2)).status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_bodies_may_be_compressed(client: TestClient, coding: str) -> None:
    """A request that says so, and an answer that is asked for so; the header counts the plain JSON."""
    body = json.dumps(asked(plant_rows(300, seed=8).tolist(), outputs=wanted("score"), parameters=BINARY)).encode()
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}[coding](body)
    plain = client.post(INFER, content=body, headers={"Accept-Encoding": "identity"})

    both = client.post(
        INFER,
        content=packed,
        headers={"Content-Encoding": coding, "Accept-Encoding": coding, HEADER: str(len(body))},
    )

    assert "content-encoding" not in plain.headers
    assert both.headers["content-encoding"] == coding
    assert int(both.headers["content-length"]) < int(plain.headers["content-length"])
    assert both.headers[HEADER] == plain.headers[HEADER]
    assert both.content == plain.content  # the client has undone it


def test_nothing_but_an_inference_is_compressed(client: TestClient) -> None:
    """The stock clients do not undo it elsewhere."""
    for path in ("/v2", "/v2/models/plant", "/v2/models/stats"):
        assert "content-encoding" not in client.get(path, headers={"Accept-Encoding": "gzip, deflate"}).headers


def test_a_bomb_is_refused(settings: Settings) -> None:
    """The limit of a body is that of what it inflates to."""
    small = settings.model_copy(update={"max_body_bytes": 1000})
    with TestClient(create_app(small)) as client:
        bomb = client.post(INFER, content=gzip.compress(b" " * 1001), headers={"Content-Encoding": "gzip"})
        long = client.post(INFER, content=b" " * 1001)

        assert "1000 bytes" in error(bomb, 413)
        assert "1000 bytes" in error(long, 413)


def test_other_codings_are_refused(client: TestClient) -> None:
    """With those that are read."""
    response = client.post(INFER, content=b"{}", headers={"Content-Encoding": "br"})

    assert "gzip or deflate" in error(response, 415)
    assert response.headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/pump", 404),
        ("GET", "/v2/models/plant/versions/3", 404),
        ("GET", "/v2/models/plant/versions/01", 404),
        ("GET", "/v2/models/plant/versions/one/ready", 404),
        ("GET", "/v2/models/pump/stats", 404),
        ("GET", "/v2/models/plant/config", 404),
        ("GET", "/v2/nothing", 404),
        ("POST", "/v2/models/pump/infer", 404),
        ("GET", INFER, 405),
        ("POST", "/v2", 405),
        ("GET", "/v2/repository/index", 405),
        ("POST", INFER, 400),
        ("POST", "/v2/repository/models/plant/load", 503),
        ("POST", "/v2/repository/models/plant/unload", 503),
        ("POST", "/v2/repository/models/pump/load", 503),
    ],
)
def test_every_error_is_the_protocols(client: TestClient, method: str, path: str, status: int) -> None:
    """{"error": …} and application/json, no more: the clients compare the header."""
    assert error(client.request(method, path), status)


def test_a_method_that_is_not_allowed_tells_those_that_are(client: TestClient) -> None:
    """As everywhere."""
    assert client.get(INFER).headers["allow"] == "POST"


def test_an_unexpected_error_is_the_protocols_too(settings: Settings) -> None:
    """It tells nothing internal; elsewhere it is a problem document still."""
    app: FastAPI = create_app(settings)

    @app.get("/v2/fail")
    async def fail() -> None:
        raise ZeroDivisionError("the secret of line 12")

    with TestClient(app) as client:
        assert error(client.get("/v2/fail"), 500) == "This is a fault of the service; its log has more."
    assert client.get("/v2x").headers["content-type"] == "application/problem+json"


def test_loading_tells_what_to_do_instead(client: TestClient) -> None:
    """The folder is what says what is served."""
    assert "NELBO_MODELS" in error(client.post("/v2/repository/models/plant/load", json={"parameters": {}}), 503)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ready": true}', b'{"ready": false, "more": 1}'])
def test_the_index_lists_every_version(client: TestClient, body: bytes) -> None:
    """All are ready, so it makes no difference whether only those are asked for."""
    listed = client.post("/v2/repository/index", content=body).json()

    assert listed == [{"name": "plant", "version": version, "state": "READY", "reason": ""} for version in ("1", "2")]


def test_statistics_count_rows_requests_and_refusals(settings: Settings) -> None:
    """Of one version, of a model's default version and of all; the same as the metrics."""
    with TestClient(create_app(settings)) as client:
        client.post(INFER, json=asked([USUAL, FAR], outputs=wanted("score")))
        client.post(INFER, json=asked([USUAL], outputs=wanted("score")))
        client.post(INFER, json={})
        client.post("/v2/models/plant/versions/1/infer", json=asked([USUAL], outputs=wanted("score")))
        of_all, of_model, of_version = (
            client.get(f"/v2/models/{path}stats").json()["model_stats"] for path in ("", "plant/", "plant/versions/1/")
        )
        metrics = client.get("/metrics").text

    assert of_all == of_version + of_model
    (first,), (second,) = of_version, of_model
    assert (first["version"], first["inference_count"], first["execution_count"]) == ("1", 1, 1)
    assert (second["version"], second["inference_count"], second["execution_count"]) == ("2", 3, 2)
    stats = second["inference_stats"]
    assert (stats["success"]["count"], stats["fail"]["count"]) == (2, 1)
    assert 0 < stats["compute_infer"]["ns"] < stats["success"]["ns"]
    assert 'nelbo_inferences_total{model="plant",version="2"} 3.0' in metrics
    assert 'nelbo_requests_total{method="POST",route="/v2/models/{name}/infer",status="200"} 2.0' in metrics
