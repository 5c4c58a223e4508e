"""Every body of the corpus at every verb, at every address, and as a line of a stream: exactly what it must get."""

import json
import logging
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app import codec
from app.main import create_app
from app.settings import Settings
from app.shape import Shape
from tests.app.asgi import Answer, Asked, running
from tests.app.corpus import (
    ENVELOPES,
    ESCAPED,
    GIVEN_TWICE,
    LEGAL_ROWS,
    LEGAL_SAMPLES,
    LEGAL_SCORES,
    NUMBER,
    QUESTIONS,
    ROWS,
    ROWS_FIELDS,
    SAMPLE_OPTIONS,
    SCORE_OPTIONS,
    SECRET,
    Refusal,
)
from tests.conftest import PLANT_NAMES

PREFIXES = ("", "/models/plant", "/models/plant/versions/1")
OF_ROWS = ("encode", "reconstruct", "score")
MALFORMED = {"empty-body", "invalid-json", "duplicate-key"}
JSON = {"content_type": "application/json"}
NDJSON = {"content_type": "application/x-ndjson"}
SHAPE = Shape(PLANT_NAMES, max_rows=16_384)


@pytest.fixture(scope="module")
def asked(settings: Settings) -> Iterator[Asked]:
    with running(create_app(settings)) as asked:
        yield asked


@pytest.fixture(autouse=True)
def nothing_is_told_again(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test asks, no value of it is in the log."""
    caplog.set_level(logging.DEBUG, logger="nelbo")
    yield
    for record in caplog.get_records("call"):
        if record.name.startswith("nelbo"):
            assert SECRET.decode() not in record.getMessage()
            assert NUMBER.decode() not in record.getMessage()


def refused(asked: Asked, verb: str, body: bytes, refusal: Refusal) -> None:
    """At the root, below a model and below a version alike."""
    for prefix in PREFIXES:
        response = asked.post(f"{prefix}/{verb}", body, **JSON)
        require_problem(response, refusal)


def require_problem(response: Answer, refusal: Refusal) -> None:
    status = 400 if refusal.code in MALFORMED else 422
    assert (response.status, response.headers["content-type"]) == (status, "application/problem+json")
    document = response.json()
    assert (document["status"], document["code"]) == (status, refusal.code)
    assert document["request_id"] == response.headers["x-request-id"]
    faults = document.get("errors", [{"pointer": None}])
    assert faults[0]["pointer"] == refusal.pointer
    assert len(faults) <= 10
    require_quiet(response.content)


def require_quiet(content: bytes) -> None:
    """Few words, and none of the request's values."""
    assert len(content) <= 4096
    assert SECRET not in content
    assert NUMBER not in content


def stream(asked: Asked, verb: str, *lines: bytes) -> list[dict[str, Any]]:
    response = asked.post(f"/{verb}", b"\n".join(lines), **NDJSON)
    assert response.status == 200
    assert response.headers["x-request-id"]
    return [json.loads(line) for line in response.content.splitlines()]


def refused_as_line(asked: Asked, verb: str, line: bytes, code: str) -> None:
    """In its place, between two good lines that are answered."""
    good = b'{"seed":1}' if verb == "sample" else b"[1,2,3,4]"
    first, told, last, end = stream(asked, verb, good, line, good)
    assert (told["line"], told["code"]) == (2, code)
    require_quiet(json.dumps(told).encode())
    assert first == last
    assert end == {"rows": 2, "errors": 1}


def short(value: object) -> str:
    return re.sub(r"(.{1,12}?)\1{4,}", r"\1…", repr(value))[:60]


def reference(row: Any) -> list[float]:  # noqa: ANN401 - any JSON
    """A row as the standard library reads it."""
    values = [row.get(name) for name in PLANT_NAMES] if isinstance(row, dict) else row
    return [math.nan if value is None else float(value) for value in values]


def test_the_corpus_is_large() -> None:
    """More than a few of each kind, so that a table that shrinks is seen."""
    assert len(ENVELOPES) >= 80
    assert len(ROWS) >= 120
    assert len(SCORE_OPTIONS) + len(SAMPLE_OPTIONS) + len(ROWS_FIELDS) >= 100


@pytest.mark.parametrize(("envelope", "refusal"), ENVELOPES.items(), ids=short)
def test_what_is_no_question_is_refused(asked: Asked, envelope: bytes, refusal: Refusal) -> None:
    """At each verb alike: what is not JSON, no object, or has a field that nobody knows."""
    for verb, question in QUESTIONS.items():
        refused(asked, verb, envelope.replace(b"QUESTION", question), refusal)


@pytest.mark.parametrize("envelope", GIVEN_TWICE)
def test_what_is_given_twice_means_nothing_certain(asked: Asked, envelope: bytes) -> None:
    """However the name is written."""
    for verb, question in QUESTIONS.items():
        body = envelope.replace(b"QUESTION", question).replace(b"ESCAPED", ESCAPED[verb])
        field = "/given" if verb == "sample" else "/rows"
        refused(asked, verb, body, Refusal("duplicate-key", field))
        refused_as_line(asked, verb, body, "duplicate-key")


@pytest.mark.parametrize(("envelope", "refusal"), ENVELOPES.items(), ids=short)
def test_a_line_is_refused_as_a_body_is(asked: Asked, envelope: bytes, refusal: Refusal) -> None:
    """Where it is one line, and holds a question: any other is read as a row."""
    for verb, question in QUESTIONS.items():
        line = envelope.replace(b"QUESTION", question)
        if b"\n" not in line and (b'"rows"' in line or verb == "sample") and line.strip(b" \t\r"):
            refused_as_line(asked, verb, line, refusal.code)


@pytest.mark.parametrize(("row", "refusal"), ROWS.items(), ids=short)
def test_a_wrong_row_is_placed(asked: Asked, row: bytes, refusal: Refusal) -> None:
    """Behind a good one, alone, as a row to condition on, and as a line."""

    def below(pointer: str) -> Refusal:
        return refusal if refusal.pointer is None else Refusal(refusal.code, pointer + refusal.pointer)

    for verb in OF_ROWS:
        refused(asked, verb, b'{"rows":[[1,2,3,4],%s]}' % row, below("/rows/1"))
        if b"\n" not in row:
            refused_as_line(asked, verb, row, refusal.code)
    refused(asked, "sample", b'{"given":%s,"seed":1}' % row, below("/given"))


@pytest.mark.parametrize(("body", "refusal"), ROWS_FIELDS.items(), ids=short)
def test_wrong_rows_are_placed(asked: Asked, body: bytes, refusal: Refusal) -> None:
    """None, too many, of the wrong depth, or one wrong among many."""
    for verb in OF_ROWS:
        refused(asked, verb, body, refusal)
        if b'"rows"' in body:
            refused_as_line(asked, verb, body, refusal.code)


@pytest.mark.parametrize(("body", "refusal"), SCORE_OPTIONS.items(), ids=short)
def test_wrong_options_of_a_score_are_placed(asked: Asked, body: bytes, refusal: Refusal) -> None:
    """Each as strictly as the rows; and the verbs that have none of them know none."""
    refused(asked, "score", body, refusal)
    refused_as_line(asked, "score", body, refusal.code)
    for verb in ("encode", "reconstruct"):
        response = asked.post(f"/{verb}", body, **JSON)
        assert response.json()["code"] in ("unknown-field", "duplicate-key")
        require_quiet(response.content)


@pytest.mark.parametrize(("body", "refusal"), SAMPLE_OPTIONS.items(), ids=short)
def test_wrong_options_of_a_sample_are_placed(asked: Asked, body: bytes, refusal: Refusal) -> None:
    """How many, from which seed, like which row."""
    refused(asked, "sample", body, refusal)
    refused_as_line(asked, "sample", body, refusal.code)


@pytest.mark.parametrize("row", LEGAL_ROWS, ids=short)
def test_a_strange_row_is_what_the_standard_library_reads(asked: Asked, row: bytes) -> None:
    """To the bit, minus zero too; it is answered as the same doubles in plain writing are."""
    expected = np.array([reference(json.loads(row))])
    body = b'{"rows":[%s]}' % row
    plain = {"rows": [[None if math.isnan(value) else value for value in expected[0].tolist()]]}

    x = codec.read_rows(body, SHAPE).x
    assert x.tobytes() == expected.tobytes()
    for verb in OF_ROWS:
        for prefix in PREFIXES:
            answer = asked.post(f"{prefix}/{verb}", body, **JSON)
            assert answer.status == 200
            assert answer.content == asked.post(f"{prefix}/{verb}", json.dumps(plain).encode(), **JSON).content
        if b"\n" not in row:
            told, end = stream(asked, verb, row)
            assert told == asked.post(f"/{verb}", json.dumps(plain).encode(), **JSON).json()
            assert end == {"rows": 1, "errors": 0}
    sampled = asked.post("/sample", b'{"given":%s,"seed":1}' % row, **JSON)
    given = np.isfinite(expected[0])
    assert np.array(sampled.json()["rows"])[0][given].tolist() == expected[0][given].tolist()


@pytest.mark.parametrize(
    ("verb", "body"),
    [("score", body) for body in LEGAL_SCORES] + [("sample", body) for body in LEGAL_SAMPLES],
    ids=short,
)
def test_a_strange_question_is_answered(asked: Asked, verb: str, body: bytes) -> None:
    """As the same question, read and written again by the standard library."""
    plain = asked.post(f"/{verb}", json.dumps(json.loads(body)).encode(), **JSON).json()
    answer = asked.post(f"/{verb}", body, **JSON)

    assert answer.status == 200
    if body.strip() not in (b"{}", b"{ }"):  # these draw from a seed of their own
        assert answer.json() == plain
        if b"\n" not in body:
            assert stream(asked, verb, body)[0] == plain


@pytest.mark.parametrize(("envelope", "fields"), [(b"{ESCAPED}", None), (b" {\t ESCAPED\r} ", None)])
def test_an_escaped_name_is_the_same_name(asked: Asked, envelope: bytes, fields: None) -> None:
    """In a body and in a line."""
    for verb, question in QUESTIONS.items():
        seed = b',"seed":1}' if verb == "sample" else b"}"
        body = envelope.replace(b"ESCAPED", ESCAPED[verb]).replace(b"}", seed)
        plain = asked.post(f"/{verb}", b"{" + question + seed, **JSON).json()

        assert asked.post(f"/{verb}", body, **JSON).json() == plain
        assert stream(asked, verb, body)[0] == plain


@pytest.mark.parametrize(
    "line", [b"[1,2,3,4],[1,2,3,4]", b"{},{}", b'[1,2,3,4]],"x":[', b"\x0c[1,2,3,4]", b"[1,2,3,4]\x0b"]
)
def test_a_line_is_one_row_and_nothing_more(asked: Asked, line: bytes) -> None:
    """Neither two of them, which would be no JSON, nor one and the beginning of something else."""
    told, end = stream(asked, "score", line)

    assert told["code"] in ("invalid-json", "unknown-field")
    assert end == {"rows": 0, "errors": 1}
