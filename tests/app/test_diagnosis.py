"""What is said of a wrong body: the code, the place, and never the value."""

import pytest

from app import codec
from app.diagnosis import Shape
from app.errors import InvalidContent, MalformedBody, RequestError

SHAPE = Shape(("temperature", "pressure", "flow", "valve"), max_rows=16384)
GOOD = b"[1,2,3,4]"


def rows(*texts: bytes) -> bytes:
    return b'{"rows": [' + b",".join(texts) + b"]}"


def asked(text: bytes) -> bytes:
    return b'{"rows": [[1,2,3,4]], ' + text + b"}"


MALFORMED = {
    b"": "empty-body",
    b" ": "invalid-json",
    b"\n\n": "invalid-json",
    b"\x00": "invalid-json",
    b"rows": "invalid-json",
    b"{": "invalid-json",
    b'{"rows"': "invalid-json",
    b'{"rows": [[1,2,3,4]]': "invalid-json",
    b'{"rows": [[1,2,3,4]]}}': "invalid-json",
    b'{"rows": [[1,2,3,4]]} x': "invalid-json",
    b'{"rows": [[1,2,3,4]]}\x00': "invalid-json",
    b'{"rows": [[1,2,3,4]]}{"rows": [[1,2,3,4]]}': "invalid-json",
    b"{'rows': [[1,2,3,4]]}": "invalid-json",
    b"{rows: [[1,2,3,4]]}": "invalid-json",
    b'{"rows": [[1,2,3,4]],}': "invalid-json",
    b'// a comment\n{"rows": [[1,2,3,4]]}': "invalid-json",
    b'\xef\xbb\xbf{"rows": [[1,2,3,4]]}': "invalid-json",
    '{"rows": [[1,2,3,4]]}'.encode("utf-16"): "invalid-json",
    '{"rows": [[1,2,3,4]]}'.encode("utf-16-le"): "invalid-json",
    b'{"rows": [{"\xff": 1}]}': "invalid-json",
    b'{"\xc0\xaf": 1}': "invalid-json",
    b'{"rows": [{"\\ud800": 1}]}': "invalid-json",
    b'{"rows": [{"\\udc00": 1}]}': "invalid-json",
    b'{"rows": [["\\ud800",2,3,4]]}': "invalid-json",
    b'{"ro\nws": 1}': "invalid-json",
    b"[" * 100_000: "invalid-json",
    b"[" * 100_000 + b"]" * 100_000: "invalid-json",
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000: "invalid-json",
    b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}": "invalid-json",
    rows(b"[NaN,2,3,4]"): "invalid-json",
    rows(b"[Infinity,2,3,4]"): "invalid-json",
    rows(b"[-Infinity,2,3,4]"): "invalid-json",
    rows(b"[1e400,2,3,4]"): "invalid-json",
    rows(b"[-1e400,2,3,4]"): "invalid-json",
    rows(b"[1" + b"0" * 400 + b",2,3,4]"): "invalid-json",
    rows(b"[1" + b"0" * 5000 + b",2,3,4]"): "invalid-json",
    rows(b'{"flow": 1e999}'): "invalid-json",
    rows(b"[01,2,3,4]"): "invalid-json",
    rows(b"[+1,2,3,4]"): "invalid-json",
    rows(b"[.5,2,3,4]"): "invalid-json",
    rows(b"[1.,2,3,4]"): "invalid-json",
    rows(b"[0x10,2,3,4]"): "invalid-json",
    rows(b"[1_000,2,3,4]"): "invalid-json",
    rows(b"[1e,2,3,4]"): "invalid-json",
    rows(b"[-,2,3,4]"): "invalid-json",
    rows(b"[1,2,3,4,]"): "invalid-json",
    rows(b"[1,,2,3]"): "invalid-json",
    rows(b"[1 2 3 4]"): "invalid-json",
    rows(b"[None,2,3,4]"): "invalid-json",
    rows(b"[True,2,3,4]"): "invalid-json",
    asked(b'"false_alarm_rate": 1e400'): "invalid-json",
    asked(b'"rows": [[1,2,3,4]]'): "duplicate-key",
    asked(b'"explain": true, "explain": true'): "duplicate-key",
    asked(b'"bound": {"draws": 1, "seed": 1, "draws": 2}'): "duplicate-key",
    rows(b'{"flow": 1, "flow": 1}'): "duplicate-key",
    rows(GOOD, b'{"flow": 1, "flo\\u0077": 2}'): "duplicate-key",
}

WRONG = {
    b"[]": ("shape", ""),
    b"null": ("shape", ""),
    b"1.5": ("shape", ""),
    b'"rows"': ("shape", ""),
    b"[[1,2,3,4]]": ("shape", ""),
    b"{}": ("missing-field", "/rows"),
    asked(b'"bound": {"draws": 5}'): ("missing-field", "/bound/seed"),
    b'{"rows": null}': ("shape", "/rows"),
    b'{"rows": {"flow": 1}}': ("shape", "/rows"),
    b'{"rows": "1,2,3,4"}': ("shape", "/rows"),
    b'{"rows": [1,2,3,4]}': ("shape", "/rows/0"),
    b'{"rows": [null]}': ("shape", "/rows/0"),
    rows(GOOD, b'"1,2,3,4"'): ("shape", "/rows/1"),
    rows(GOOD, b"[[1],2,3,4]"): ("shape", "/rows/1/0"),
    rows(GOOD, b'[1,2,3,{"a": 1}]'): ("shape", "/rows/1/3"),
    rows(b'{"flow": [1]}'): ("shape", "/rows/0/flow"),
    b'{"rows": []}': ("no-rows", "/rows"),
    rows(b"[]"): ("dimension-mismatch", "/rows/0"),
    rows(GOOD, GOOD, GOOD, b"[1,2,3]"): ("dimension-mismatch", "/rows/3"),
    rows(GOOD, b"[1,2,3,4,5]"): ("dimension-mismatch", "/rows/1"),
    rows(b"[1,2,3,4,5,[]]"): ("dimension-mismatch", "/rows/0"),
    rows(GOOD, GOOD, GOOD, b'[1,"2",3,4]'): ("not-a-number", "/rows/3/1"),
    rows(b'["nan",2,3,4]'): ("not-a-number", "/rows/0/0"),
    rows(b'["1_000",2,3,4]'): ("not-a-number", "/rows/0/0"),
    rows(b'["",2,3,4]'): ("not-a-number", "/rows/0/0"),
    rows(b"[true,2,3,4]"): ("not-a-number", "/rows/0/0"),
    rows(b"[1,2,3,false]"): ("not-a-number", "/rows/0/3"),
    rows(b'{"flow": "1.5"}'): ("not-a-number", "/rows/0/flow"),
    rows(GOOD, b"[1,2,3,1e39]"): ("number-out-of-range", "/rows/1/3"),
    rows(b"[1,2,3,-3.41e38]"): ("number-out-of-range", "/rows/0/3"),
    rows(b"[1" + b"0" * 59 + b",2,3,4]"): ("number-out-of-range", "/rows/0/0"),
    rows(b'{"flow": 1e39}'): ("number-out-of-range", "/rows/0/flow"),
    rows(b'{"flow": 1, "level": 2}'): ("unknown-sensor", "/rows/0/level"),
    rows(b'{"Flow": 1}'): ("unknown-sensor", "/rows/0/Flow"),
    rows(b'{"": 1}'): ("unknown-sensor", "/rows/0/"),
    rows(b'{"a/b~c": 1}'): ("unknown-sensor", "/rows/0/a~1b~0c"),
    asked(b'"seeds": 1'): ("unknown-field", "/seeds"),
    asked(b'"seed": 1'): ("unknown-field", "/seed"),
    asked(b'"' + b"x" * 1000 + b'": 1'): ("unknown-field", "/" + "x" * 64),
    asked(b'"bound": {"draws": 1, "seed": 1, "k": 2}'): ("unknown-field", "/bound/k"),
    asked(b'"explain": 1'): ("invalid-option", "/explain"),
    asked(b'"explain": "true"'): ("invalid-option", "/explain"),
    asked(b'"explain": null'): ("invalid-option", "/explain"),
    asked(b'"explain": []'): ("invalid-option", "/explain"),
    asked(b'"false_alarm_rate": "0.01"'): ("invalid-option", "/false_alarm_rate"),
    asked(b'"false_alarm_rate": true'): ("invalid-option", "/false_alarm_rate"),
    asked(b'"fdr": null'): ("invalid-option", "/fdr"),
    asked(b'"bound": 64'): ("invalid-option", "/bound"),
    asked(b'"bound": {"draws": 0, "seed": 1}'): ("invalid-option", "/bound/draws"),
    asked(b'"bound": {"draws": 1025, "seed": 1}'): ("invalid-option", "/bound/draws"),
    asked(b'"bound": {"draws": 1.5, "seed": 1}'): ("invalid-option", "/bound/draws"),
    asked(b'"bound": {"draws": 64, "seed": -1}'): ("invalid-option", "/bound/seed"),
}

WRONG_SAMPLES = {
    b'{"count": 0}': ("invalid-option", "/count"),
    b'{"count": -1}': ("invalid-option", "/count"),
    b'{"count": 1.5}': ("invalid-option", "/count"),
    b'{"count": true}': ("invalid-option", "/count"),
    b'{"count": "5"}': ("invalid-option", "/count"),
    b'{"count": null}': ("invalid-option", "/count"),
    b'{"seed": -1}': ("invalid-option", "/seed"),
    b'{"seed": 0.5}': ("invalid-option", "/seed"),
    b'{"seed": 9223372036854775808}': ("invalid-option", "/seed"),
    b'{"seed": 1' + b"0" * 50 + b"}": ("invalid-option", "/seed"),
    b'{"seed": {}}': ("invalid-option", "/seed"),
    b'{"rows": [[1,2,3,4]]}': ("unknown-field", "/rows"),
    b'{"given": [1,2,3]}': ("dimension-mismatch", "/given"),
    b'{"given": [[1,2,3,4]]}': ("shape", "/given/0"),
    b'{"given": null}': ("shape", "/given"),
    b'{"given": {"level": 1}}': ("unknown-sensor", "/given/level"),
}


@pytest.mark.parametrize(("body", "code"), MALFORMED.items(), ids=lambda value: repr(value)[:40])
def test_what_cannot_be_read_is_malformed(body: bytes, code: str) -> None:
    """Not JSON as RFC 8259 defines it, or a name said twice: the body means nothing certain."""
    with pytest.raises(MalformedBody) as caught:
        codec.read_score(body, SHAPE)

    assert caught.value.code == code


@pytest.mark.parametrize(("body", "told"), WRONG.items(), ids=lambda value: repr(value)[:40])
def test_wrong_content_is_placed(body: bytes, told: tuple[str, str]) -> None:
    """The first fault's place is an RFC 6901 pointer to exactly where it is."""
    with pytest.raises(InvalidContent) as caught:
        codec.read_score(body, SHAPE)

    assert (caught.value.code, caught.value.faults[0].pointer) == told


@pytest.mark.parametrize(("body", "told"), WRONG_SAMPLES.items(), ids=lambda value: repr(value)[:40])
def test_wrong_questions_to_sample_are_placed(body: bytes, told: tuple[str, str]) -> None:
    """Options are as strict as rows."""
    with pytest.raises(InvalidContent) as caught:
        codec.read_sample(body, SHAPE)

    assert (caught.value.code, caught.value.faults[0].pointer) == told


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
    "one long name": (asked(b'"' + b"x" * 8_000_000 + b'": 1'), "unknown-field"),
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
