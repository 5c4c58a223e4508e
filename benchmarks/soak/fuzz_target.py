"""What atheris feeds: `python -m benchmarks.soak.fuzz_target codec|infer [libFuzzer's flags]`.

Ends with another code than 0 where something else than a refusal is raised, or where the standard library reads
something else.
"""

import sys
from contextlib import suppress

import atheris
import numpy as np

with atheris.instrument_imports(include=["app"]):
    from app import codec
    from app.errors import RequestError
    from app.infer_request import read_infer
    from app.shape import Shape
    from app.tensors import DATATYPES

from benchmarks.soak.oracle import rows_of, tensor_of, values_of

SHAPE = Shape(("a", "b", "c"), max_rows=6)


def codec_agrees(body: bytes) -> None:
    """A body of rows is accepted where, and read as, the oracle says; those of the other verbs are read or refused."""
    expected = rows_of(body, SHAPE.sensors, SHAPE.max_rows)
    try:
        x = codec.read_rows(body, SHAPE).x
    except RequestError:
        assert expected is None, "refused, but allowed"
    else:
        assert expected is not None, "accepted, but not allowed"
        np.testing.assert_array_equal(x, np.array(expected))
    for read in (codec.read_score, codec.read_sample):
        with suppress(RequestError):
            read(body, SHAPE)


def infer_agrees(data: bytes) -> None:
    """What is accepted is what the standard library reads; the first byte says how much of the rest is binary."""
    body = data[1:]
    binary = min(data[0], len(body)) if data else 0
    end = len(body) - binary
    try:
        asked = read_infer(body, str(end) if binary else None, SHAPE, ("score", "alarm"))
    except RequestError:
        return
    behind = body[end:]
    if end == 0:
        np.testing.assert_array_equal(asked.x.ravel(), np.frombuffer(behind, "<f8"))
        return
    read = tensor_of(body[:end])
    assert read is not None, "accepted, but not JSON, or with a name twice"
    columns = {}
    for given in read["inputs"]:
        size = (given.get("parameters") or {}).get("binary_data_size")
        if size is None:
            columns[given["name"]] = np.array(values_of(given["data"]))
        else:
            columns[given["name"]] = np.frombuffer(behind[: int(size)], DATATYPES[given["datatype"]]).astype(float)
            behind = behind[int(size) :]
    if columns.keys() == {"x"}:
        np.testing.assert_array_equal(asked.x.ravel(), columns["x"])
    else:
        for index, name in enumerate(SHAPE.sensors):
            np.testing.assert_array_equal(asked.x[:, index], columns.get(name, np.full(len(asked.x), np.nan)))


TARGETS = {"codec": codec_agrees, "infer": infer_agrees}

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
