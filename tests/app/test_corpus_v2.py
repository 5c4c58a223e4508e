"""Every inference request of the corpus: exactly what it must get, and nothing of it in the answer or the log."""

import json
import logging
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from app.infer_body import HEADER
from app.main import create_app
from app.settings import Settings
from app.v2_bodies import MOST_BYTES
from tests.app.asgi import Answer, Asked, running
from tests.app.corpus_v2 import BINARY, HEADERS, JSON, LEGAL, RAW, X, raw, tensor

PATHS = ("/v2/models/plant/infer", "/v2/models/plant/versions/1/infer")
INDEX = "/v2/repository/index"
SCORE = '"outputs":[{"name":"score"}],'


@pytest.fixture(scope="module")
def asked(settings: Settings) -> Iterator[Asked]:
    with running(create_app(settings)) as asked:
        yield asked


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Of the service; no value of a request is in it."""
    caplog.set_level(logging.DEBUG, logger="nelbo")
    yield caplog
    told = " ".join(record.getMessage() for record in caplog.get_records("call"))
    assert "hunter2" not in told
    assert "7712309" not in told


def require_refusal(answer: Answer, code: str, log: pytest.LogCaptureFixture) -> None:
    """The protocol's own form, few words, and the code in the log."""
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert answer.headers["x-request-id"]
    assert answer.json().keys() == {"error"}
    assert len(answer.content) <= 4096
    assert b"hunter2" not in answer.content
    assert b"7712309" not in answer.content
    assert f" 400 {code} " in log.records[-1].getMessage()


def short(value: object) -> str:
    return re.sub(r"(.{1,12}?)\1{4,}", r"\1…", repr(value))[:60]


def test_the_corpus_is_large() -> None:
    """So that a table that shrinks is seen."""
    assert len(JSON) + len(HEADERS) + len(BINARY) + len(RAW) >= 180


@pytest.mark.parametrize(("body", "code"), JSON.items(), ids=short)
def test_a_wrong_request_is_refused(asked: Asked, log: pytest.LogCaptureFixture, body: bytes, code: str) -> None:
    """As JSON alone, and with a header that says that it is."""
    for path in PATHS:
        require_refusal(asked.post(path, body), code, log)
        if body:
            require_refusal(asked.post(path, body, **{HEADER: str(len(body))}), code, log)


@pytest.mark.parametrize("header", HEADERS, ids=short)
def test_a_header_that_lies_is_refused(asked: Asked, log: pytest.LogCaptureFixture, header: bytes) -> None:
    """Negative, huge, beyond the body, or no number."""
    for path in PATHS:
        answer = asked.post(path, tensor(), **{HEADER: header.decode("latin-1")})
        require_refusal(answer, "invalid-header", log)


@pytest.mark.parametrize(("text", "behind", "off", "code"), BINARY, ids=short)
def test_parts_that_do_not_add_up_are_refused(
    asked: Asked, log: pytest.LogCaptureFixture, text: bytes, behind: bytes, off: int, code: str
) -> None:
    """The header, the sizes, the shapes and the bytes that are there."""
    for path in PATHS:
        answer = asked.post(path, text + behind, **{HEADER: str(len(text) + off)})
        require_refusal(answer, code, log)


@pytest.mark.parametrize(("body", "code"), RAW.items(), ids=short)
def test_wrong_raw_rows_are_refused(asked: Asked, log: pytest.LogCaptureFixture, body: bytes, code: str) -> None:
    """A body that is nothing else has whole rows of numbers within the limits."""
    for path in PATHS:
        require_refusal(asked.post(path, body, **{HEADER: "0"}), code, log)


def reference(body: bytes) -> Any:  # noqa: ANN401 - nested lists
    """The rows as the standard library reads them."""
    data = json.loads(body)["inputs"][0]["data"]
    flat = [math.nan if value is None else float(value) for value in (data[0] if isinstance(data[0], list) else data)]
    return [None if math.isnan(value) else value for value in flat]


@pytest.mark.parametrize("body", LEGAL, ids=short)
def test_a_strange_request_is_answered(asked: Asked, body: bytes) -> None:
    """With the score of the row that the standard library reads."""
    plain = asked.post("/score", json.dumps({"rows": [reference(body)]}).encode(), content_type="application/json")
    for path in PATHS:
        answer = asked.post(path, body)
        assert answer.status == 200
        score = next(output["data"] for output in answer.json()["outputs"] if output["name"] == "score")
        assert score == plain.json()["score"]


def test_a_binary_request_is_answered(asked: Asked) -> None:
    """The control: the same parts, when they do add up."""
    row = np.array([[1.0, 2.0, 3.0, 4.0]])
    text = raw(b"32")
    answer = asked.post(PATHS[0], text + row.tobytes(), **{HEADER: str(len(text))})

    assert answer.status == 200
    assert answer.json() == asked.post(PATHS[0], b'{"inputs":[%s]}' % X).json()
    assert asked.post(PATHS[0], row.tobytes(), **{HEADER: "0"}).status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "shape"),
        (b'{"ready":1}', "shape"),
        (b'{"ready":null}', "shape"),
        (b'{"ready":"hunter2"}', "shape"),
        (b"{", "invalid-json"),
        (b"\xff", "invalid-json"),
        (b" ", "invalid-json"),
        (b"\xef\xbb\xbf{}", "invalid-json"),
        (b"[" * 50_000, "invalid-json"),
        (b'{"ready":true,"ready":true}', "duplicate-key"),
        (rb'{"a":[{"b":1,"\u0062":2}]}', "duplicate-key"),
    ],
    ids=short,
)
def test_a_wrong_look_at_the_index_is_refused(
    asked: Asked, log: pytest.LogCaptureFixture, body: bytes, code: str
) -> None:
    """Its body is nothing, or an object."""
    require_refusal(asked.post(INDEX, body), code, log)


def test_a_look_at_the_index_is_short(asked: Asked) -> None:
    """It is read on the event loop, so that no more is than one that says something can have."""
    body = b'{"ready":true}'

    assert asked.post(INDEX, body.ljust(MOST_BYTES)).status == 200
    assert asked.post(INDEX, body.ljust(MOST_BYTES + 1)).status == 413
