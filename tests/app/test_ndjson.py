"""Streams of questions, a line each."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.lines import BLANK, Line, whole_lines
from app.main import create_app
from app.settings import Settings

NDJSON = {"Content-Type": "application/x-ndjson"}
USUAL = [20.0, 1013.0, 5.0, 3.0]


@pytest.fixture(scope="module")
def narrow(settings: Settings) -> Iterator[TestClient]:
    """A service whose limits can be met in a test."""
    few = settings.model_copy(update={"max_body_bytes": 200, "max_rows": 3})
    with TestClient(create_app(few)) as client:
        yield client


def ask(client: TestClient, verb: str, *lines: str) -> list[dict[str, Any]]:
    response = client.post(verb, content="\n".join(lines), headers=NDJSON)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("verb", ["/score", "/encode", "/models/plant/reconstruct"])
def test_a_line_is_answered_as_the_body_of_a_request_is(client: TestClient, verb: str) -> None:
    """A question, a row, or a row by name: each in its line's place, the same bits as asked alone."""
    rows = [USUAL, [21.0, None, 5.0, 3.0]]
    by_name = {"flow": 5.0, "temperature": 20.0}
    *answers, last = ask(
        client, verb, json.dumps({"rows": rows}), json.dumps(rows[1]), json.dumps(by_name), json.dumps(USUAL)
    )

    alone = [client.post(verb, json={"rows": asked}).json() for asked in (rows, [rows[1]], [by_name], [USUAL])]
    assert answers == alone
    assert last == {"rows": 5, "errors": 0}


def test_a_sample_is_drawn_for_each_line(client: TestClient) -> None:
    """Its lines are questions only."""
    *answers, last = ask(client, "/sample", '{"count": 2, "seed": 7}', "{}", '{"given": [20, null, 5, 3], "seed": 1}')

    assert answers[0] == client.post("/sample", json={"count": 2, "seed": 7}).json()
    assert [len(answer["rows"]) for answer in answers] == [2, 1, 1]
    assert last == {"rows": 4, "errors": 0}


def test_a_bad_line_is_told_in_its_place_and_the_stream_goes_on(client: TestClient) -> None:
    """With its number, blank lines counted too, and never with what it held."""
    lines = [
        json.dumps(USUAL),
        "",
        "[1, 2]",
        "{nonsense",
        '{"rows": [[1, 2, 3, "x"]]}',
        '{"level": 1}',
        json.dumps(USUAL),
    ]
    first, *bad, good, last = ask(client, "/score", *lines)

    assert [(told["line"], told["code"]) for told in bad] == [
        (3, "dimension-mismatch"),
        (4, "invalid-json"),
        (5, "not-a-number"),
        (6, "unknown-sensor"),
    ]
    assert all(told.keys() == {"line", "code", "detail"} for told in bad)
    assert first == good == client.post("/score", json={"rows": [USUAL]}).json()
    assert last == {"rows": 2, "errors": 4}


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        (
            "[NaN]",
            "Expected JSON: invalid character (byte 1): NaN and Infinity are no JSON, and null is a missing sensor.",
        ),
        ('{"level": -Infinity}', "Expected JSON: invalid character (byte 11): NaN and Infinity are no JSON"),
        ("nonsense", "Expected JSON: invalid character (byte 1)."),
        ('{"flow": 1}}', "Expected JSON: trailing characters (byte 12)."),
        ("[1, 2], [3, 4]", "Expected JSON: trailing characters (byte 7)."),
        ('{"Flow [l/s]": 1}', "/Flow [l~1s]: the model has no such sensor; it has flow."),
        ("[1, 2]", "row: expected 4 values, found 2."),
        ('[1, 2, 3, "x"]', "/3: expected a number"),
    ],
)
def test_what_is_told_of_a_row_is_told_of_its_line(client: TestClient, line: str, detail: str) -> None:
    """Places and pointers are those in the line, though it is read as a part of a body."""
    told, _ = ask(client, "/score", line)

    assert told["detail"].startswith(detail)


def test_limits_hold_for_each_line(narrow: TestClient) -> None:
    """A stream may be longer than a body, and have more rows than a request."""
    three, four, long = (json.dumps({"rows": [USUAL] * rows}) for rows in (3, 4, 12))
    *answers, last = ask(narrow, "/score", *[three] * 20, four, long, json.dumps(USUAL))

    assert [answer.get("code") for answer in answers] == [None] * 20 + ["too-many-rows", "body-too-large", None]
    assert last == {"rows": 61, "errors": 2}


def test_a_stream_waits_where_a_request_would_be_refused(settings: Settings) -> None:
    """Its lines are asked together, and there is room for some of them at a time: each is answered all the same."""
    narrow = settings.model_copy(update={"queue_seconds": 0.002})
    with TestClient(create_app(narrow)) as client:
        *answers, last = ask(client, "/score", *[json.dumps({"rows": [USUAL] * 4})] * 100)

    assert {answer["score"][0] for answer in answers} == {answers[0]["score"][0]}
    assert last == {"rows": 400, "errors": 0}


def test_nothing_is_asked_and_nothing_answered(client: TestClient) -> None:
    """An empty stream is no error."""
    assert ask(client, "/score", "", "  ") == [{"rows": 0, "errors": 0}]


@given(
    lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8),
    cuts=st.lists(st.integers(0, 80), max_size=6),
    end=st.booleans(),
)
def test_lines_are_whole_however_they_arrive(lines: list[bytes], cuts: list[int], end: bool) -> None:
    """Wherever the pieces are cut, the lines, their numbers and what is too long are the same."""
    text = b"\n".join(lines) + b"\n" * end
    edges = sorted({0, len(text), *[cut for cut in cuts if cut < len(text)]})

    async def pieces() -> AsyncIterator[bytes]:
        for start, stop in pairwise(edges):
            yield text[start:stop]

    async def main() -> list[Line]:
        return [line async for some in whole_lines(pieces(), most_bytes=8) for line in some]

    expected = [
        Line(number, line.strip(BLANK) if len(line) <= 8 else None)
        for number, line in enumerate(lines, start=1)
        if len(line) > 8 or line.strip(BLANK)
    ]
    assert asyncio.run(main()) == expected
