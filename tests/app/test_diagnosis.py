"""What is said of a wrong body; the corpus has what is wrong with which code."""

import pytest

from app import codec
from app.errors import InvalidContent, RequestError
from app.shape import Shape

SHAPE = Shape(("temperature", "pressure", "flow", "valve"), max_rows=16384)
GOOD = b"[1,2,3,4]"


def rows(*texts: bytes) -> bytes:
    return b'{"rows": [' + b",".join(texts) + b"]}"


def test_the_found_and_the_expected_are_told() -> None:
    """Widths are said in numbers."""
    with pytest.raises(InvalidContent, match="/rows/1: expected 4 values, found 6") as caught:
        codec.read_rows(rows(GOOD, b"[1,2,3,4,5,6]", b"[1]"), SHAPE)

    assert [fault.detail for fault in caught.value.faults] == [
        "expected 4 values, found 6",
        "expected 4 values, found 1",
    ]


def test_at_most_ten_places_are_told() -> None:
    """A thousand faults are told as the first ten."""
    with pytest.raises(InvalidContent) as caught:
        codec.read_rows(rows(*[b'["x",2,3,4]'] * 1000), SHAPE)

    assert [fault.pointer for fault in caught.value.faults] == [f"/rows/{row}/0" for row in range(10)]


def test_too_many_rows_are_told_with_the_limit() -> None:
    """One row more than the limit is refused, the limit itself is not."""
    assert len(codec.read_rows(rows(*[GOOD] * 5), Shape(SHAPE.sensors, 5)).x) == 5
    with pytest.raises(InvalidContent, match="at most 5 rows") as caught:
        codec.read_rows(rows(*[GOOD] * 6), Shape(SHAPE.sensors, 5))

    assert (caught.value.code, caught.value.faults[0].pointer) == ("too-many-rows", "/rows")


@pytest.mark.parametrize("secret", [b'"hunter2"', b"8.8887e200", b"true"])
def test_values_are_never_echoed(secret: bytes) -> None:
    """What a client sent as a value is in no word of the answer."""
    with pytest.raises(RequestError) as caught:
        codec.read_rows(rows(b"[" + secret + b",2,3,4]"), SHAPE)

    told = repr((caught.value.detail, caught.value.faults))
    assert secret.decode().strip('"') not in told


EIGHT_MEBIBYTES = {
    "nulls": (rows(*[b"null"] * 1_600_000), "shape"),
    "empty rows": (rows(*[b"[]"] * 2_700_000), "dimension-mismatch"),
    "empty objects": (rows(*[b"{}"] * 2_700_000), "too-many-rows"),
    "short rows": (rows(*[b"[0]"] * 2_000_000), "dimension-mismatch"),
    "one long row": (rows(b"[" + b"0," * 4_000_000 + b"0]"), "dimension-mismatch"),
    "nested in a row": (rows(b"[" + b"[]," * 2_600_000 + b"0]"), "shape"),
    "nested in a field": (b'{"x": [' + b"[]," * 2_600_000 + b"0]}", "unknown-field"),
    "brackets": (b"[" * 8_000_000, "invalid-json"),
    "one long name": (b'{"' + b"x" * 8_000_000 + b'": 1, "rows": [[1,2,3,4]]}', "unknown-field"),
    "escapes": (rows(b'["' + b'\\"' * 4_000_000 + b'",2,3,4]'), "not-a-number"),
    "many names": (rows(b"{" + b",".join(b'"a%d":1' % name for name in range(600_000)) + b"}"), "unknown-sensor"),
    "too many good rows": (rows(*[GOOD] * 800_000), "too-many-rows"),
    "a fault at the end": (rows(*[GOOD] * 16_383, b"[1,2,3,true]"), "not-a-number"),
    "digits": (rows(b"[1" + b"0" * 8_000_000 + b",2,3,4]"), "invalid-json"),
}


@pytest.mark.parametrize(("body", "code"), EIGHT_MEBIBYTES.values(), ids=EIGHT_MEBIBYTES.keys())
def test_the_longest_bodies_are_told_apart(body: bytes, code: str) -> None:
    """Eight mebibytes of one fault are named like one of it, in a few words."""
    with pytest.raises(RequestError) as caught:
        codec.read_score(body, SHAPE)

    assert caught.value.code == code
    assert len(caught.value.detail) < 200
