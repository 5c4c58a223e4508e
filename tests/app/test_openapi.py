import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import codec, schemas, v2_schemas
from app.errors import Forbidden, RequestError, Unauthenticated
from app.main import HTTP_PROBLEMS
from app.refusals import STATUS, V2_STATUS
from app.shape import Shape
from tests.conftest import PLANT_NAMES

ROOT_VERBS = ("/encode", "/reconstruct", "/sample", "/score")
ELSEWHERE = {Forbidden, Unauthenticated}
"""What a verb is not refused with where no keys are set."""
USUAL = [20.0, 1013.0, 5.0, 3.0]

Json = dict[str, Any]


@pytest.fixture(scope="session")
def document(client: TestClient) -> Json:
    read: Json = client.get("/openapi.json").json()
    return read


def validator(document: Json, schema: Json) -> Draft202012Validator:
    """Of one schema, with the components that it refers to."""
    return Draft202012Validator(schema | {"components": document["components"]})


def operations(document: Json) -> list[tuple[str, str, Json]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_the_document_is_openapi_3_1(document: Json) -> None:
    """As the standard's own schema says; every reference leads somewhere; ids are unique."""
    OpenAPIV31SpecValidator(document).validate()
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids)) == 4 * 3 + 7 + 15
    for path, _, operation in operations(document):
        told = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
        assert told == re.findall(r"{(\w+)}", path)


def test_every_schema_is_a_json_schema(document: Json) -> None:
    """Components, and what stands in requests and responses."""
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for _, _, operation in operations(document):
        for message in [operation.get("requestBody", {"content": {}}), *operation["responses"].values()]:
            for content in message.get("content", {}).values():
                Draft202012Validator.check_schema(content["schema"])


def test_every_problem_of_a_verb_is_documented(document: Json) -> None:
    """From the same table that the handler uses, always as a problem document."""
    problems = {str(status) for kind, status in STATUS.items() if kind not in ELSEWHERE} | {"500"}
    for path in ROOT_VERBS:
        for prefix, told in (("", problems - {"404"}), ("/models/{name}", problems)):
            responses = document["paths"][prefix + path]["post"]["responses"]
            assert responses.keys() == told | {"200"}
            for status in told:
                assert responses[status]["content"].keys() == {"application/problem+json"}
    assert HTTP_PROBLEMS.keys() == {404, 405}


@pytest.mark.parametrize("path", ROOT_VERBS)
def test_examples_are_true(client: TestClient, document: Json, path: str) -> None:
    """The example of a request is valid, and what it says is answered is what is answered."""
    operation = document["paths"][path]["post"]
    asked = operation["requestBody"]["content"]["application/json"]
    answered = operation["responses"]["200"]["content"]["application/json"]

    validator(document, asked["schema"]).validate(asked["example"])
    validator(document, answered["schema"]).validate(answered["example"])
    assert client.post(path, json=asked["example"]).json() == answered["example"]


def test_examples_speak_of_the_models_own_sensors(document: Json) -> None:
    """By their names, near the means of training."""
    example = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["example"]

    assert list(example["rows"][0]) == ["temperature", "pressure", "flow", "valve"]
    assert abs(example["rows"][0]["pressure"] - 1013) < 2


@pytest.mark.parametrize("prefix", ["", "/models/plant", "/models/plant/versions/1"])
@pytest.mark.parametrize(
    ("verb", "body", "model"),
    [
        ("encode", {"rows": [USUAL]}, schemas.EncodeResponse),
        ("reconstruct", {"rows": [USUAL]}, schemas.ReconstructResponse),
        ("sample", {"count": 2}, schemas.SampleResponse),
        ("sample", {"count": 2, "given": {"temperature": 20.0}}, schemas.SampleResponse),
        ("score", {"rows": [USUAL]}, schemas.ScoreResponse),
        ("score", {"rows": [USUAL, {}], "explain": True, "fdr": 0.1}, schemas.ScoreResponse),
        ("score", {"rows": [USUAL, {}], "bound": {"draws": 2, "seed": 1}}, schemas.ScoreResponse),
    ],
)
def test_answers_are_what_the_schemas_say(
    client: TestClient, prefix: str, verb: str, body: Json, model: type[schemas.ScoreResponse]
) -> None:
    """No field more, none less, each of its type: the codec and the documentation agree."""
    model.model_validate_json(client.post(f"{prefix}/{verb}", json=body).content, strict=True)


def test_refusals_are_what_the_schema_says(client: TestClient) -> None:
    """A problem has the documented fields, with and without places."""
    for body in ({}, [], {"rows": [USUAL], "bound": {"draws": 0, "seed": 1}}):
        schemas.Problem.model_validate_json(client.post("/score", json=body).content, strict=True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"rows": []},
        {"rows": [[1, 2, 3]]},
        {"rows": [[1, 2, 3, 4, 5]]},
        {"rows": [[1, 2, 3, "4"]]},
        {"rows": [[1, 2, 3, True]]},
        {"rows": [[1, 2, 3, 1e39]]},
        {"rows": [{"level": 1}]},
        {"rows": [USUAL], "seeds": 1},
        {"rows": [USUAL], "explain": None},
        {"rows": [USUAL], "explain": 1},
        {"rows": [USUAL], "fdr": 0},
        {"rows": [USUAL], "false_alarm_rate": 0.0009},
        {"rows": [USUAL], "false_alarm_rate": 0.6},
        {"rows": [USUAL], "bound": {"draws": 1}},
    ],
    ids=json.dumps,
)
def test_what_is_refused_is_not_documented_as_valid(client: TestClient, document: Json, body: Json) -> None:
    """The schema of /score and the service draw the same line."""
    schema = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert not validator(document, schema).is_valid(body)
    assert client.post("/score", json=body).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"rows": [USUAL, {"flow": 1}, {}, [None] * 4]},
        {"rows": [[3.4028235e38, -3.4028235e38, 0, -0.0]]},
        {"rows": [USUAL], "explain": False, "fdr": 0.5, "false_alarm_rate": 0.001},
        {"rows": [USUAL], "false_alarm_rate": 0.5},
    ],
    ids=json.dumps,
)
def test_what_is_answered_is_documented_as_valid(client: TestClient, document: Json, body: Json) -> None:
    """The other side of the same line."""
    schema = document["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    validator(document, schema).validate(body)
    assert client.post("/score", json=body).status_code == 200


readings = st.none() | st.booleans() | st.floats(-1e39, 1e39) | st.sampled_from(["1", 3.4028235e38, 3.4028236e38, 5])
array_rows = st.lists(readings, min_size=3, max_size=5)
object_rows = st.dictionaries(st.sampled_from(["temperature", "pressure", "flow", "valve", "level"]), readings)
questions = st.dictionaries(
    st.sampled_from(["rows", "explain"]), st.lists(array_rows | object_rows | readings) | readings
)


@settings(deadline=None)
@given(body=questions)
def test_a_body_is_accepted_if_and_only_if_its_schema_allows_it(document: Json, body: Json) -> None:
    """Of rows and nothing else; limits that no JSON Schema can say are those of `/score` and `/sample` only."""
    schema = document["paths"]["/encode"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    allowed = validator(document, schema).is_valid(body)
    try:
        codec.read_rows(json.dumps(body).encode(), Shape(PLANT_NAMES, 16_384))
    except RequestError:
        assert not allowed
    else:
        assert allowed


def test_every_error_under_v2_is_documented(document: Json) -> None:
    """In the protocol's own form; an inference has every status of the table that its handler uses."""
    refused = {str(status) for kind, status in V2_STATUS.items() if kind not in ELSEWHERE} | {"403", "408", "500"}
    for path, _, operation in operations(document):
        if path.startswith("/v2"):
            errors = {status: told for status, told in operation["responses"].items() if status != "200"}
            assert "500" in errors, path
            assert errors.keys() == refused or not path.endswith("/infer"), path
            for told in errors.values():
                assert told["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/V2Error"}}}


V2_INFER = "/v2/models/{name}/infer"
X = {"name": "x", "shape": [1, 4], "datatype": "FP64", "data": USUAL}
FLOW = {"name": "flow", "shape": [1], "datatype": "FP32", "data": [5]}


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": [X]},
        {"inputs": [X | {"data": [[20.0, None, 5, 3]]}], "outputs": [], "id": "one", "model_name": "ignored"},
        {"inputs": [FLOW], "outputs": [{"name": "alarm"}], "parameters": {"false_alarm_rate": 0.1, "priority": 1}},
        {"inputs": [X], "outputs": [{"name": "score", "parameters": {"binary_data": False}}], "parameters": None},
    ],
    ids=json.dumps,
)
def test_an_inference_that_is_answered_is_documented(client: TestClient, document: Json, body: Json) -> None:
    """The request is valid, and so is its answer."""
    operation = document["paths"][V2_INFER]["post"]
    validator(document, operation["requestBody"]["content"]["application/json"]["schema"]).validate(body)
    response = client.post("/v2/models/plant/infer", json=body)

    assert response.status_code == 200
    answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
    validator(document, answered).validate(response.json())


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"inputs": []},
        {"inputs": [X | {"shape": [1, 4, 1]}]},
        {"inputs": [X | {"shape": [1, -4]}]},
        {"inputs": [X | {"datatype": "FP16"}]},
        {"inputs": [X | {"data": ["20", 1013, 5, 3]}]},
        {"inputs": [X], "outputs": [{"name": "nelbo"}]},
        {"inputs": [X], "parameters": {"binary_data_output": 1}},
        {"inputs": [X], "id": 1},
    ],
    ids=json.dumps,
)
def test_an_inference_that_is_refused_is_not_documented_as_valid(
    client: TestClient, document: Json, body: Json
) -> None:
    """What the schema can tell to be wrong is refused, in the form that is documented."""
    schema = document["paths"][V2_INFER]["post"]["requestBody"]["content"]["application/json"]["schema"]
    response = client.post("/v2/models/plant/infer", json=body)

    assert not validator(document, schema).is_valid(body)
    assert response.status_code == 400
    v2_schemas.V2Error.model_validate_json(response.content, strict=True)
