import json
import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import codec, reading, slices
from app.codec import Bound
from app.errors import RequestError
from app.shape import FLOAT32_LIMIT, Shape
from benchmarks.soak.oracle import rows_of

SENSORS = ("temperature", "pressure", "flow", "valve")
SHAPE = Shape(SENSORS, max_rows=20)

readings = st.none() | st.integers(-(2**70), 2**70) | st.floats(-3.4028234e38, 3.4028234e38)
array_rows = st.lists(readings, min_size=4, max_size=4)
object_rows = st.dictionaries(st.sampled_from(SENSORS), readings)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from([*SENSORS, "x"]), inner, max_size=5),
    max_leaves=12,
)


def reference(row: list[Any] | dict[str, Any]) -> list[float]:
    """A row as the standard library reads it."""
    values = [row.get(name) for name in SENSORS] if isinstance(row, dict) else row
    return [math.nan if value is None else float(value) for value in values]


@given(rows=st.lists(array_rows, min_size=1, max_size=20))
def test_rows_are_read_as_the_standard_library_reads_them(rows: list[list[float | None]]) -> None:
    """Every number is the double nearest to its text; null is missing."""
    x = codec.read_rows(json.dumps({"rows": rows}).encode(), SHAPE).x

    assert x.dtype == np.float64
    np.testing.assert_array_equal(x, [reference(row) for row in rows])


@given(row=array_rows, order=st.permutations(range(4)))
def test_object_rows_equal_array_rows_in_any_order(row: list[float | None], order: list[int]) -> None:
    """A row by name says the same as the row in the sensors' order; both kinds may stand in one request."""
    by_name = {SENSORS[index]: row[index] for index in order}
    x = codec.read_rows(json.dumps({"rows": [row, by_name]}).encode(), SHAPE).x

    np.testing.assert_array_equal(x[0], x[1])


@given(row=array_rows)
def test_an_absent_name_is_a_missing_sensor(row: list[float | None]) -> None:
    """Leaving a sensor out and sending null are one."""
    by_name = {name: value for name, value in zip(SENSORS, row, strict=True) if value is not None}
    x = codec.read_rows(json.dumps({"rows": [by_name]}).encode(), SHAPE).x

    np.testing.assert_array_equal(x, [reference(row)])


@given(rows=st.lists(json_values | array_rows | object_rows, max_size=21) | json_values)
def test_what_is_accepted_is_what_the_rules_allow(rows: object) -> None:
    """Any JSON is read if and only if the documented rules allow it, and then as the standard library reads it."""
    body = json.dumps({"rows": rows}).encode()
    allowed = rows_of(body, SENSORS, SHAPE.max_rows)
    try:
        read = codec.read_rows(body, SHAPE)
    except RequestError:
        assert allowed is None
        return
    assert allowed is not None
    assert read.x.tobytes() == np.array(allowed).tobytes()
    assert (np.isnan(read.x) | (np.abs(read.x) < FLOAT32_LIMIT)).all()
    assert read.complete == (not np.isnan(read.x).any())


@given(
    rows=st.lists(array_rows | object_rows, min_size=1, max_size=20),
    spaces=st.integers(0, 3),
    at_once=st.integers(1, 99),
)
def test_a_long_body_is_read_as_a_short_one_is(rows: list[Any], spaces: int, at_once: int) -> None:
    """Wherever it is cut into slices, also between rows of either kind."""
    body = json.dumps({"explain": True, "rows": rows, "fdr": 0.1}, indent=spaces or None).encode()
    whole = codec.read_score(body, SHAPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "LONG", 8)
        patch.setattr(slices, "LONG", at_once)
        sliced = codec.read_score(body, SHAPE)

    assert sliced.rows.x.tobytes() == whole.rows.x.tobytes()
    assert (sliced.rows.complete, sliced.explain, sliced.fdr) == (whole.rows.complete, True, 0.1)


@given(body=st.binary(max_size=60))
def test_no_bytes_are_more_than_a_clients_error(body: bytes) -> None:
    """Whatever arrives is read or refused; nothing else is raised."""
    for read in (codec.read_rows, codec.read_score, codec.read_sample):
        with suppress(RequestError):
            read(body, SHAPE)


def test_the_ends_of_float32_are_accepted() -> None:
    """Both ends, zeros of either sign and what rounds to zero are numbers like others."""
    body = b'{"rows": [[3.4028235e38, -3.4028235e38, -0.0, 1e-400]]}'

    assert codec.read_rows(body, SHAPE).x.tolist() == [[3.4028235e38, -3.4028235e38, 0.0, 0.0]]


def test_a_score_question_keeps_what_was_not_asked_apart() -> None:
    """An option that is not given is None, not a default that somebody could have meant."""
    plain = codec.read_score(b'{"rows": [[1, 2, 3, 4]]}', SHAPE)
    full = codec.read_score(
        b'{"fdr": 0.1, "explain": true, "rows": [[1, 2, 3, 4]], "false_alarm_rate": 0.05, '
        b'"bound": {"seed": 1, "draws": 64}}',
        SHAPE,
    )

    assert (plain.false_alarm_rate, plain.explain, plain.bound, plain.fdr) == (None, False, None, None)
    assert (full.false_alarm_rate, full.explain, full.bound, full.fdr) == (0.05, True, Bound(64, 1), 0.1)


def test_a_sample_question_may_be_empty() -> None:
    """Without any option it asks for one row."""
    question = codec.read_sample(b"{}", SHAPE)

    assert (question.count, question.seed, question.given) == (1, None, None)


def test_an_integer_is_what_json_schema_says_it_is() -> None:
    """JSON has numbers only, so 5.0 is the integer 5; the largest seed is exact."""
    question = codec.read_sample(b'{"count": 5.0, "seed": 9223372036854775807, "given": {"flow": 1}}', SHAPE)

    assert (question.count, question.seed) == (5, 2**63 - 1)
    np.testing.assert_array_equal(question.given, [[math.nan, math.nan, 1.0, math.nan]])


def test_an_escaped_name_is_the_same_name() -> None:
    """A name may be written with escapes; it is one name, and named once."""
    body = rb'{"rows": [{"\u0066low": 1, "valve": 2}]}'

    np.testing.assert_array_equal(codec.read_rows(body, SHAPE).x, [[math.nan, math.nan, 1.0, 2.0]])


def test_names_with_quotes_and_brackets_are_names() -> None:
    """Counting quotes and brackets is a shortcut, never a rule about names."""
    names = ('say "a"', "flow [m³/h]", "{b}")
    shape = Shape(names, max_rows=1)
    body = json.dumps({"rows": [dict.fromkeys(names, 1.0)]}).encode()

    assert codec.read_rows(body, shape).x.tolist() == [[1.0, 1.0, 1.0]]


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_an_answer_reads_back_as_it_was(values: list[float]) -> None:
    """Writing loses no bit of a double."""
    written = codec.write({"model": "plant", "version": 2, "score": np.array(values), "alarm": np.array([True])})

    assert json.loads(written) == {"model": "plant", "version": 2, "score": values, "alarm": [True]}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_answer_that_is_not_finite_is_never_written(value: float) -> None:
    """It would become null, and null has another meaning here."""
    with pytest.raises(FloatingPointError, match="score is not finite"):
        codec.write({"score": np.array([1.0, value])})
