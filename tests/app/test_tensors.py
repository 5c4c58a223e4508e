"""Bytes of an inference request to rows and back: every bit arrives, and whatever is wrong is told."""

import contextlib
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from app.array import Array
from app.errors import InvalidContent, MalformedBody, RequestError
from app.infer_request import InferRequest, Wanted, read_infer
from app.infer_response import write_infer
from app.schemas import FLOAT32_MAX
from app.shape import FLOAT32_LIMIT, Shape
from app.tensors import DATATYPES

SENSORS = ("temperature", "pressure", "flow")
SHAPE = Shape(SENSORS, max_rows=8)
OUTPUTS = ("score", "alarm")
DEEP = b'{"any": ' + b"[" * 100_000
ROWS = [[20.0, 1013.0, 5.0], [21.0, None, -0.0]]
X = {"name": "x", "shape": [2, 3], "datatype": "FP64", "data": ROWS}

readings = st.floats(-FLOAT32_MAX, FLOAT32_MAX) | st.just(float("nan"))
matrices = arrays(np.float64, st.tuples(st.integers(1, 8), st.just(3)), elements=readings)

answers = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=4), elements=readings.filter(np.isfinite))
datatypes = st.sampled_from(["FP64", "FP32", "INT8"])


def read(document: Any, binary: bytes = b"", header: str | None = None) -> InferRequest:  # noqa: ANN401 - any JSON
    """The request of this JSON and the bytes behind it; with these the header is right unless another is given."""
    text = json.dumps(document).encode()
    told = str(len(text)) if binary and header is None else header
    return read_infer(text + binary, told, SHAPE, OUTPUTS)


def binary_input(name: str, x: Array, datatype: str = "FP64") -> dict[str, Any]:
    return {
        "name": name,
        "shape": x.shape,
        "datatype": datatype,
        "parameters": {"binary_data_size": x.nbytes},
    }


def nulls(x: Array) -> Any:  # noqa: ANN401 - nested as x is
    return [nulls(row) for row in x] if x.ndim > 1 else [None if np.isnan(value) else value for value in x.tolist()]


@given(matrices)
def test_every_bit_of_a_binary_tensor_arrives(x: Array) -> None:
    """Any readings, minus zero and subnormal ones too, wherever the JSON before them ends."""
    for padding in ("", "p"):
        asked = read({"id": padding, "inputs": [binary_input("x", x)]}, x.tobytes())

        assert asked.x.tobytes() == x.tobytes()
        assert asked.x.flags.aligned


@given(st.integers(1, 2**51 - 1))
def test_every_nan_is_a_missing_sensor(payload: int) -> None:
    """Signalling or quiet, of either width, whatever it carries."""
    bits = np.array([[0x7FF << 52 | payload, 0xFFF << 52 | payload, 0]], dtype=np.uint64)
    single = np.array([[0x7F800001 + payload % 0x3FFFFF, 0xFF800001, 0]], dtype=np.uint32)

    wide = read({"inputs": [binary_input("x", bits.view(np.float64))]}, bits.tobytes())
    narrow = read({"inputs": [binary_input("x", single.view(np.float32), "FP32")]}, single.tobytes())

    assert np.isnan(wide.x).tolist() == np.isnan(narrow.x).tolist() == [[True, True, False]]


@given(matrices)
def test_flat_nested_and_binary_are_the_same_rows(x: Array) -> None:
    """To the bit; a null is a NaN."""
    flat = read({"inputs": [X | {"shape": x.shape, "data": nulls(x.ravel())}]})
    nested = read({"inputs": [X | {"shape": x.shape, "data": nulls(x)}]})

    np.testing.assert_array_equal(flat.x, x)
    assert flat.x.tobytes() == nested.x.tobytes()
    assert (np.signbit(flat.x) == np.signbit(x))[~np.isnan(x)].all()


@given(matrices, st.permutations(SENSORS), st.integers(1, 3), st.booleans())
def test_sensors_may_come_one_by_one(x: Array, order: list[str], count: int, binary: bool) -> None:
    """In any order, as [n] or [n, 1]; those that do not come are missing."""
    inputs, parts = [], b""
    for number, name in enumerate(order[:count]):
        column = np.ascontiguousarray(x[:, [SENSORS.index(name)]] if number % 2 else x[:, SENSORS.index(name)])
        if binary:
            inputs.append(binary_input(name, column))
            parts += column.tobytes()
        else:
            inputs.append({"name": name, "shape": column.shape, "datatype": "FP64", "data": nulls(column)})

    expected = np.where([name in order[:count] for name in SENSORS], x, np.nan)
    np.testing.assert_array_equal(read({"inputs": inputs}, parts).x, expected)


@pytest.mark.parametrize("datatype", DATATYPES)
def test_each_datatype_is_read_as_what_it_is(datatype: str) -> None:
    """Little-endian in binary; the same numbers in JSON."""
    rows = np.array([[1, 2, 100]], dtype=DATATYPES[datatype])

    assert read({"inputs": [binary_input("x", rows, datatype)]}, rows.tobytes()).x.tolist() == [[1, 2, 100]]
    whole = X | {"shape": [1, 3], "datatype": datatype, "data": [1, 2, 100]}
    assert read({"inputs": [whole]}).x.tolist() == [[1, 2, 100]]


def test_a_sensor_may_be_called_x() -> None:
    """Its shape tells it from the rows."""
    shape = Shape(("x", "y"), max_rows=8)

    def rows(*given: dict[str, Any]) -> Any:  # noqa: ANN401 - nested lists
        return nulls(read_infer(json.dumps({"inputs": given}).encode(), None, shape, OUTPUTS).x)

    column = {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [3]}
    assert rows({"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [3, 4]}) == [[3, 4]]
    assert rows(column) == [[3, None]]
    assert rows(column, column | {"name": "y"}) == [[3, 3]]


def test_outputs_are_asked_for_one_by_one_or_all() -> None:
    """In the order of the request; JSON unless the output, or the request for all of them, says binary."""
    two = [{"name": "alarm"}, {"name": "score", "parameters": {"binary_data": True}}]
    binary = {"binary_data_output": True}

    def outputs(document: dict[str, Any]) -> tuple[Wanted, ...]:
        return read({"inputs": [X]} | document).outputs

    assert outputs({}) == outputs({"outputs": []}) == (Wanted("score", False), Wanted("alarm", False))
    assert outputs({"parameters": binary}) == (Wanted("score", True), Wanted("alarm", True))
    assert outputs({"outputs": two}) == (Wanted("alarm", False), Wanted("score", True))
    assert outputs({"outputs": two[:1], "parameters": binary}) == (Wanted("alarm", True),)


def test_what_the_protocol_leaves_open_is_passed_over() -> None:
    """Unknown names at every level, and the parameters of schedulers that are not ours."""
    document = {
        "id": "7",
        "model_name": "another",
        "parameters": {"timeout": 1, "priority": 2, "sequence_id": "s", "false_alarm_rate": 0.1},
        "inputs": [X | {"parameters": {"any": "thing"}}],
        "outputs": None,
    }

    asked = read(document)

    assert (asked.id, asked.false_alarm_rate) == ("7", 0.1)


def test_a_body_may_be_nothing_but_the_rows() -> None:
    """A header of 0 says so: float64 in the sensors' order, and everything is answered in binary."""
    x = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    asked = read_infer(x.tobytes(), "0", SHAPE, OUTPUTS)

    assert asked.x.tobytes() == x.tobytes()
    assert asked.outputs == (Wanted("score", True), Wanted("alarm", True))


@pytest.mark.parametrize("name", ["NaN", "a NaN, a", 'quoted "NaN"', "\\NaN\\"])
def test_the_nan_of_tritons_client_is_a_missing_sensor(name: str) -> None:
    """It writes NaN into JSON, where there is none; in a string the word stays."""
    asked = read({"id": name, "inputs": [X | {"data": [1, float("nan"), 3, 4, 5, float("nan")]}]})

    assert asked.id == name
    assert nulls(asked.x) == [[1, None, 3], [4, 5, None]]


@pytest.mark.parametrize("end", [b"", b"\\", b'"'])
def test_a_string_without_an_end_does_not_hold_up(end: bytes) -> None:
    """A megabyte of escaped quotes is passed once."""
    with pytest.raises(MalformedBody):
        read_infer(b'{"any": NaN, "id": "' + b'\\"' * 500_000 + end, None, SHAPE, OUTPUTS)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shape": [6]}, "dimension-mismatch"),
        ({"shape": [3], "data": [20, 1013, 5]}, "dimension-mismatch"),
        ({"shape": [3, 2]}, "dimension-mismatch"),
        ({"shape": [2, 3, 1]}, "dimension-mismatch"),
        ({"shape": []}, "dimension-mismatch"),
        ({"shape": [1] * 9}, "shape"),
        ({"shape": [2, -3]}, "shape"),
        ({"shape": [2, 2**41]}, "shape"),
        ({"shape": "2, 3"}, "shape"),
        ({"shape": [0, 3], "data": []}, "no-rows"),
        ({"shape": [9, 3]}, "too-many-rows"),
        ({"shape": [2**40, 3]}, "too-many-rows"),
        ({"datatype": "BYTES"}, "unsupported-datatype"),
        ({"datatype": "FP16"}, "unsupported-datatype"),
        ({"datatype": "BOOL"}, "unsupported-datatype"),
        ({"datatype": 64}, "shape"),
        ({"data": [20, 1013, 5]}, "dimension-mismatch"),
        ({"data": [[20, 1013], [5, 20, 1013, 5]]}, "dimension-mismatch"),
        ({"data": [[20, 1013, 5, 20, 1013, 5]]}, "dimension-mismatch"),
        ({"data": [[[20, 1013, 5], [20, 1013, 5]]]}, "not-a-number"),
        ({"data": [20, 1013, 5, [20, 1013, 5]]}, "not-a-number"),
        ({"data": ["20", 1013, 5, 20, 1013, 5]}, "not-a-number"),
        ({"data": [True, 1013, 5, 20, 1013, 5]}, "not-a-number"),
        ({"data": {"0": 1, "1": 1, "2": 1, "3": 1, "4": 1, "5": 1}}, "not-a-number"),
        ({"data": [FLOAT32_LIMIT, 1013, 5, 20, 1013, 5]}, "number-out-of-range"),
        ({"datatype": "INT8", "data": [0.5, 1, 5, 2, 1, 5]}, "not-a-number"),
        ({"datatype": "INT8", "data": [128, 1, 5, 2, 1, 5]}, "not-a-number"),
        ({"name": "level"}, "unknown-sensor"),
        ({"parameters": {"binary_data_size": 0}}, "missing-field"),
        ({"parameters": {"binary_data_size": 48}}, "dimension-mismatch"),
        ({"parameters": {"binary_data_size": -1}}, "shape"),
    ],
    ids=str,
)
def test_a_wrong_input_is_told(change: dict[str, Any], code: str) -> None:
    """What it is and where, and nothing of the values."""
    with pytest.raises(InvalidContent) as caught:
        read({"inputs": [X | change]})

    assert caught.value.code == code
    assert "inputs[0]" in caught.value.detail or code == "shape" or "behind the JSON" in caught.value.detail
    assert "1013" not in caught.value.detail


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, "shape"),
        ([X], "shape"),
        ({"inputs": []}, "missing-field"),
        ({"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP64"}]}, "missing-field"),
        ({"inputs": [X, X]}, "unknown-sensor"),
        ({"inputs": [X], "outputs": [{"name": "nelbo"}]}, "unknown-output"),
        ({"inputs": [X], "outputs": [{"name": "score"}, {"name": "score"}]}, "unknown-output"),
        ({"inputs": [X], "outputs": [{"name": "score", "parameters": {"classification": 2}}]}, "unsupported-parameter"),
        (
            {"inputs": [X], "outputs": [{"name": "score", "parameters": {"shared_memory_region": "r"}}]},
            "unsupported-parameter",
        ),
        ({"inputs": [X], "parameters": {"false_alarm_rate": "0.1"}}, "shape"),
    ],
    ids=str,
)
def test_a_wrong_request_is_told(document: Any, code: str) -> None:  # noqa: ANN401 - any JSON
    """Inputs and outputs that there are not, and parameters that mean what is not done here."""
    with pytest.raises(InvalidContent) as caught:
        read(document)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("item", "told"),
    [
        pytest.param(0, r"\d+ values; expected at most 8 rows of 3 sensors\.$", id="values"),
        pytest.param([], r"\d+ values; expected at most 8 rows of 3 sensors\.$", id="arrays"),
        pytest.param({}, r"\d+ objects\.$", id="objects"),
    ],
)
def test_what_has_far_too_much_in_it_is_told_without_being_read(item: object, told: str) -> None:
    """Reading it would hold up others; what has a few rows too many is told exactly."""
    body = json.dumps({"inputs": [X | {"data": [item] * 5000}]}).encode()
    with pytest.raises(InvalidContent, match=f"it has over {told}"):
        read_infer(body, None, SHAPE, OUTPUTS)

    with pytest.raises(InvalidContent, match=r"^inputs\[0\]: expected at most 8 rows"):
        read({"inputs": [X | {"shape": [16, 3], "data": [0] * 48}]})


def test_columns_must_be_of_one_length_and_of_different_sensors() -> None:
    """The second one is told."""
    column = {"name": "flow", "shape": [2], "datatype": "FP64", "data": [1, 2]}
    for other in (column, column | {"name": "pressure", "shape": [1], "data": [1]}):
        with pytest.raises(InvalidContent, match=r"^inputs\[1\]: "):
            read({"inputs": [column, other]})


@pytest.mark.parametrize("header", ["-1", "+5", "1e2", "0x10", "", " ", "٣", "9" * 30, "1000"])
def test_a_wrong_header_is_told(header: str) -> None:
    """It is a plain integer that is not above the body's length."""
    with pytest.raises(MalformedBody) as caught:
        read({"inputs": [X]}, header=header)

    assert caught.value.code == "invalid-header"


def test_infinity_is_told_by_its_name() -> None:
    """As the verbs tell it: Python and JavaScript write it where there is no number."""
    with pytest.raises(MalformedBody, match="null is a missing sensor"):
        read_infer(b'{"inputs": [Infinity]}', None, SHAPE, OUTPUTS)


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"inputs": [\xff]}', b'{"id": "\\ud800", "inputs": []}', b"Infinity", DEEP, b'{"inputs": []}}'],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_not_json_is_told(body: bytes) -> None:
    """Cut short, not UTF-8, half a surrogate pair, nested without end."""
    with pytest.raises(MalformedBody) as caught:
        read_infer(body, None, SHAPE, OUTPUTS)

    assert caught.value.code == "invalid-json"


@given(array_shapes(max_dims=3, max_side=4), st.integers(0, 100), st.integers(-9, 9), datatypes)
def test_sizes_that_do_not_agree_are_told(shape: tuple[int, ...], size: int, behind: int, datatype: str) -> None:
    """Shape, datatype, binary_data_size and the bytes that are there: all agree, or the request is refused."""
    document = {
        "inputs": [
            {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}},
        ]
    }
    there = bytes(max(0, size + behind))
    agrees = len(shape) == 2 and shape[1] == 3 and len(there) == size == 3 * shape[0] * DATATYPES[datatype].itemsize

    if agrees:
        assert read(document, there).x.shape == shape
    else:
        with pytest.raises(InvalidContent):
            read(document, there)


@given(st.binary(max_size=200), st.none() | st.integers(0, 210).map(str))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes, header: str | None) -> None:
    """Nothing else comes of them."""
    with contextlib.suppress(RequestError):
        assert isinstance(read_infer(body, header, SHAPE, OUTPUTS), InferRequest)


@given(answers)
def test_every_bit_of_an_answer_arrives(per_sensor: Array) -> None:
    """In binary and in JSON, in the order that was asked for."""
    alarm = per_sensor[:, 0] > 0
    wanted = [Wanted("alarm", True), Wanted("json", False), Wanted("raw", True), Wanted("flag", False)]
    told = {"alarm": alarm, "json": per_sensor, "raw": per_sensor, "flag": alarm}
    written = write_infer("plant", 3, "7", wanted, told)
    assert written.json_bytes is not None

    heading = msgspec.json.decode(written.body[: written.json_bytes])
    behind = written.body[written.json_bytes :]

    assert (heading["model_name"], heading["model_version"], heading["id"]) == ("plant", "3", "7")
    assert [(output["name"], output["datatype"], output["shape"]) for output in heading["outputs"]] == [
        ("alarm", "BOOL", [len(alarm)]),
        ("json", "FP64", list(per_sensor.shape)),
        ("raw", "FP64", list(per_sensor.shape)),
        ("flag", "BOOL", [len(alarm)]),
    ]
    assert behind == alarm.tobytes() + per_sensor.tobytes()
    assert np.array(heading["outputs"][1]["data"], dtype=np.float64).tobytes() == per_sensor.tobytes()
    assert heading["outputs"][3]["data"] == alarm.tolist()


@pytest.mark.parametrize("binary", [False, True])
def test_an_answer_that_is_not_finite_is_a_fault_of_ours(binary: bool) -> None:
    """It is never sent as if it were a number."""
    with pytest.raises(FloatingPointError, match="score"):
        write_infer("plant", 1, None, [Wanted("score", binary)], {"score": np.array([np.nan])})
