"""From the bytes of an inference request to the question in it."""

from collections.abc import Sequence

from msgspec import Struct

from app.array import Array
from app.errors import InvalidContent, MalformedBody
from app.infer_body import Output, OutputParameters, Parameters, decode, end_of_json
from app.infer_rows import read_inputs, read_raw
from app.shape import Shape

OTHER_OBJECTS = 1000
"""Objects that a request may hold beside its inputs and outputs, which the protocol leaves open; more are not built."""
MOST_TIMES = 2
"""A request of so many times the values that its rows may have is not read, which would hold up others; what is wrong
with fewer is told exactly."""


class Wanted(Struct, frozen=True):
    """An output that is asked for, as raw bytes or as JSON."""

    name: str
    binary: bool


class InferRequest(Struct, frozen=True):
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
    end = end_of_json(header, len(body))
    if end == 0:
        return InferRequest(None, read_raw(memoryview(body), shape), _wanted([], True, outputs), None)
    _require_few(body, end, shape, outputs)
    asked = decode(body[:end])
    parameters = asked.parameters or Parameters()
    return InferRequest(
        id=asked.id,
        x=read_inputs(asked.inputs, memoryview(body)[end:], shape),
        outputs=_wanted(asked.outputs or [], parameters.binary_data_output, outputs),
        false_alarm_rate=parameters.false_alarm_rate,
    )


def _require_few(body: bytes, end: int, shape: Shape, outputs: Sequence[str]) -> None:
    """Refuse a JSON that ends there and has more in it than can be meant.

    Raises:
        InvalidContent: `shape` or `dimension-mismatch`.
    """
    objects = OTHER_OBJECTS + 2 * (len(shape.sensors) + len(outputs))  # each input and output has one of parameters
    values = MOST_TIMES * shape.max_rows * len(shape.sensors) + objects
    told = "The JSON is not an inference request of this model: it has over"
    if end > objects and body.count(b"{", 0, end) > objects:
        raise InvalidContent("shape", f"{told} {objects} objects.")
    if end > values and body.count(b",", 0, end) > values:
        expected = f"expected at most {shape.max_rows} rows of {len(shape.sensors)} sensors"
        raise InvalidContent("dimension-mismatch", f"{told} {values} values; {expected}.")


def _wanted(asked: Sequence[Output], binary: bool, outputs: Sequence[str]) -> tuple[Wanted, ...]:
    wanted: dict[str, Wanted] = {}
    for index, output in enumerate(asked):
        if output.name not in outputs or output.name in wanted:
            expected = f"expected outputs of the model, each once: {', '.join(outputs)}"
            raise InvalidContent("unknown-output", f"outputs[{index}]: {expected}.")
        parameters = output.parameters or OutputParameters()
        if parameters.classification is not None or parameters.shared_memory_region is not None:
            raise InvalidContent(
                "unsupported-parameter", f"outputs[{index}]: neither classification nor shared memory is served."
            )
        wanted[output.name] = Wanted(output.name, binary if parameters.binary_data is None else parameters.binary_data)
    return tuple(wanted.values()) or tuple(Wanted(name, binary) for name in outputs)
