"""From the inputs of an inference request to rows: one input of all sensors, or one for each."""

from collections.abc import Sequence

import numpy as np

from app.array import Array
from app.errors import InvalidContent
from app.infer_body import HEADER, Input
from app.shape import Shape
from app.tensors import Heading, from_bytes, from_json

X = "x"
"""The input that holds all sensors, [n, D]; otherwise each input is a sensor's."""


def read_inputs(inputs: Sequence[Input], binary: memoryview, shape: Shape) -> Array:
    """The rows [n, D] in the inputs, NaN where missing; `binary` is what comes behind the JSON.

    Raises:
        InvalidContent: with a code, naming the input that is wrong.
    """
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


def read_raw(body: memoryview, shape: Shape) -> Array:
    """The rows [n, D] in a body that is nothing else: float64, little-endian, row by row.

    Raises:
        InvalidContent: `dimension-mismatch`, `no-rows`, `too-many-rows` or `number-out-of-range`.
    """
    width = 8 * len(shape.sensors)
    if len(body) % width:
        detail = f"expected {width} bytes a row, {len(shape.sensors)} sensors as FP64, found {len(body)} in all"
        raise InvalidContent("dimension-mismatch", f"body: {detail}.")
    heading = Heading(X, "FP64", (len(body) // width, len(shape.sensors)))
    _require_rows(heading, shape)
    return from_bytes(heading, body)


def _is_matrix(inputs: Sequence[Input], shape: Shape) -> bool:
    """Whether x is the rows; where a sensor has this name too, its shape tells."""
    if [given.name for given in inputs] != [X]:
        return False
    return X not in shape.sensors or inputs[0].shape[1:] == (len(shape.sensors),)


def _columns(inputs: Sequence[Input], parts: Sequence[memoryview | None], shape: Shape) -> Array:
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


def _heading(index: int, given: Input) -> Heading:
    return Heading(f"inputs[{index}]", given.datatype, given.shape)


def _require_rows(heading: Heading, shape: Shape) -> None:
    if not heading.shape or heading.shape[0] == 0:
        raise InvalidContent("no-rows", f"{heading.place}: expected at least one row.")
    if heading.shape[0] > shape.max_rows:
        raise InvalidContent("too-many-rows", f"{heading.place}: expected at most {shape.max_rows} rows.")


def _parts(inputs: Sequence[Input], binary: memoryview) -> list[memoryview | None]:
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


def _values(heading: Heading, given: Input, part: memoryview | None) -> Array:
    text = bytes(given.data)
    if (part is None) == (not text):
        detail = "expected either data or parameters.binary_data_size; shared memory is not read"
        raise InvalidContent("missing-field", f"{heading.place}: {detail}.")
    return from_json(heading, text) if part is None else from_bytes(heading, part)
