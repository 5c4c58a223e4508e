"""From the bytes of an inference request (Open Inference Protocol, with binary tensors) to the question in it.

A body is a JSON object and behind it the raw bytes of those tensors that it calls binary, in the order of its inputs.
The header Inference-Header-Content-Length tells where the JSON ends: 0 says that all of the body is the input x.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from app.array import Array
from app.diagnosis import Shape
from app.errors import InvalidContent, MalformedBody
from app.tensors import Heading, from_bytes, from_json

HEADER = "Inference-Header-Content-Length"
_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|\bNaN\b', re.DOTALL)
"""A string, to the end where it has none, or a NaN: no JSON, but what Triton's client writes for a missing sensor."""
X = "x"
"""The input that holds all sensors, [n, D]; otherwise each input is a sensor's."""

Size = Annotated[int, Meta(ge=0, le=2**40)]


class _InputParameters(Struct, frozen=True):
    binary_data_size: Size | None = None
    shared_memory_region: str | None = None


class _Input(Struct, frozen=True):
    name: str
    shape: Annotated[tuple[Size, ...], Meta(max_length=8)]
    datatype: str
    data: Raw = Raw()
    parameters: _InputParameters | None = None


class _OutputParameters(Struct, frozen=True):
    binary_data: bool | None = None
    classification: int | None = None
    shared_memory_region: str | None = None


class _Output(Struct, frozen=True):
    name: str
    parameters: _OutputParameters | None = None


class _Parameters(Struct, frozen=True):
    binary_data_output: bool = False
    false_alarm_rate: float | None = None


class _Body(Struct, frozen=True):
    inputs: list[_Input]
    id: str | None = None
    parameters: _Parameters | None = None
    outputs: list[_Output] | None = None


@dataclass(frozen=True)
class Wanted:
    """An output that is asked for, as raw bytes or as JSON."""

    name: str
    binary: bool


@dataclass(frozen=True)
class InferRequest:
    """What is asked: of rows x [n, D], NaN where missing, these outputs in this order."""

    id: str | None
    x: Array
    outputs: tuple[Wanted, ...]
    false_alarm_rate: float | None


def read_infer(body: bytes, header: str | None, shape: Shape, outputs: Sequence[str]) -> InferRequest:
    """The question in a body; `header` is its Inference-Header-Content-Length, and `outputs` are those there are.

    Raises:
        MalformedBody: `empty-body`, `invalid-json` or `invalid-header`.
        InvalidContent: with a code, naming the place of what is wrong.
    """
    if not body:
        raise MalformedBody("empty-body", "The body is empty; expected an inference request.")
    end = _end_of_json(header, len(body))
    if end == 0:
        return _raw(memoryview(body), shape, outputs)
    asked = _decode(body[:end])
    parameters = asked.parameters or _Parameters()
    return InferRequest(
        id=asked.id,
        x=_x(asked.inputs, memoryview(body)[end:], shape),
        outputs=_wanted(asked.outputs or [], parameters.binary_data_output, outputs),
        false_alarm_rate=parameters.false_alarm_rate,
    )


def _end_of_json(header: str | None, length: int) -> int:
    if header is None:
        return length
    if not (header.isascii() and header.isdigit() and len(header) < 19 and int(header) <= length):
        raise MalformedBody("invalid-header", f"{HEADER}: expected an integer from 0 to the body's length, {length}.")
    return int(header)


def _raw(body: memoryview, shape: Shape, outputs: Sequence[str]) -> InferRequest:
    width = 8 * len(shape.sensors)
    if len(body) % width:
        detail = f"expected {width} bytes a row, {len(shape.sensors)} sensors as FP64, found {len(body)} in all"
        raise InvalidContent("dimension-mismatch", f"body: {detail}.")
    heading = Heading(X, "FP64", (len(body) // width, len(shape.sensors)))
    _require_rows(heading, shape)
    return InferRequest(None, from_bytes(heading, body), tuple(Wanted(name, True) for name in outputs), None)


def _decode(text: bytes) -> _Body:
    if b"NaN" in text:
        text = _NAN.sub(lambda found: b"null" if found[0] == b"NaN" else found[0], text)
    try:
        return msgspec.json.decode(text, type=_Body)
    except msgspec.ValidationError as error:
        raise InvalidContent("shape", f"The JSON is not an inference request: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else error
        raise MalformedBody("invalid-json", f"The JSON of {len(text)} bytes cannot be read: {reason}.") from None
    except RecursionError:
        raise MalformedBody("invalid-json", "The JSON is nested too deeply.") from None


def _x(inputs: Sequence[_Input], binary: memoryview, shape: Shape) -> Array:
    """The rows [n, D] in the inputs, NaN where missing; `binary` is what comes behind the JSON."""
    if not inputs:
        raise InvalidContent("missing-field", f"inputs: expected {X}, or an input for each sensor.")
    parts = _parts(inputs, binary)
    if _is_matrix(inputs, shape):
        heading = _heading(0, inputs[0])
        sensors = len(shape.sensors)
        if heading.shape[1:] != (sensors,):
            expected = f"expected the shape [n, {sensors}], rows and sensors, found {list(heading.shape)}"
            raise InvalidContent(
                "dimension-mismatch", f"{heading.place}: {expected}; one row has the shape [1, {sensors}]."
            )
        _require_rows(heading, shape)
        return _values(heading, inputs[0], parts[0])
    return _columns(inputs, parts, shape)


def _is_matrix(inputs: Sequence[_Input], shape: Shape) -> bool:
    """Whether x is the rows; where a sensor has this name too, its shape tells."""
    if [given.name for given in inputs] != [X]:
        return False
    return X not in shape.sensors or inputs[0].shape[1:] == (len(shape.sensors),)


def _columns(inputs: Sequence[_Input], parts: Sequence[memoryview | None], shape: Shape) -> Array:
    """Each input is one sensor's readings, [n] or [n, 1]; the other sensors are missing."""
    first = _heading(0, inputs[0])
    _require_rows(first, shape)
    x = np.full((first.shape[0], len(shape.sensors)), np.nan)
    column = {name: index for index, name in enumerate(shape.sensors)}
    for index, (given, part) in enumerate(zip(inputs, parts, strict=True)):
        if given.name not in column:
            expected = f"expected {X} alone, or sensors of the model, each once; GET /models/{{name}} names them"
            raise InvalidContent("unknown-sensor", f"inputs[{index}]: {expected}.")
        heading = _heading(index, given)
        if heading.shape not in ((len(x),), (len(x), 1)):
            raise InvalidContent(
                "dimension-mismatch",
                f"{heading.place}: expected the shape [{len(x)}] or [{len(x)}, 1], as many rows as the first input's.",
            )
        x[:, column.pop(given.name)] = _values(heading, given, part).ravel()
    return x


def _heading(index: int, given: _Input) -> Heading:
    return Heading(f"inputs[{index}]", given.datatype, given.shape)


def _require_rows(heading: Heading, shape: Shape) -> None:
    if not heading.shape or heading.shape[0] == 0:
        raise InvalidContent("no-rows", f"{heading.place}: expected at least one row.")
    if heading.shape[0] > shape.max_rows:
        raise InvalidContent("too-many-rows", f"{heading.place}: expected at most {shape.max_rows} rows.")


def _parts(inputs: Sequence[_Input], binary: memoryview) -> list[memoryview | None]:
    """The raw bytes of each input that is binary."""
    sizes = [None if given.parameters is None else given.parameters.binary_data_size for given in inputs]
    total = sum(size or 0 for size in sizes)
    if total != len(binary):
        behind = f"expected {total} bytes behind the JSON, as binary_data_size says, found {len(binary)}"
        raise InvalidContent("dimension-mismatch", f"{behind}; {HEADER} tells where the JSON ends.")
    parts: list[memoryview | None] = []
    start = 0
    for size in sizes:
        parts.append(None if size is None else binary[start : start + size])
        start += size or 0
    return parts


def _values(heading: Heading, given: _Input, part: memoryview | None) -> Array:
    text = bytes(given.data)
    if (part is None) == (not text):
        detail = "expected either data or parameters.binary_data_size; shared memory is not read"
        raise InvalidContent("missing-field", f"{heading.place}: {detail}.")
    return from_json(heading, text) if part is None else from_bytes(heading, part)


def _wanted(asked: Sequence[_Output], binary: bool, outputs: Sequence[str]) -> tuple[Wanted, ...]:
    wanted: dict[str, Wanted] = {}
    for index, output in enumerate(asked):
        if output.name not in outputs or output.name in wanted:
            expected = f"expected outputs of the model, each once: {', '.join(outputs)}"
            raise InvalidContent("unknown-output", f"outputs[{index}]: {expected}.")
        parameters = output.parameters or _OutputParameters()
        if parameters.classification is not None or parameters.shared_memory_region is not None:
            raise InvalidContent(
                "unsupported-parameter", f"outputs[{index}]: neither classification nor shared memory is served."
            )
        wanted[output.name] = Wanted(output.name, binary if parameters.binary_data is None else parameters.binary_data)
    return tuple(wanted.values()) or tuple(Wanted(name, binary) for name in outputs)
