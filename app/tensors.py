"""A tensor of the Open Inference Protocol as float64: from raw bytes or from JSON, as its datatype and shape say.

Every FP32 is a double too, so nothing is lost; a JSON number is read as a double whatever the datatype. NaN, null in
JSON, is a missing sensor.
"""

import math
import re
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from app.array import Array
from app.errors import InvalidContent
from app.shape import FLOAT32_LIMIT
from app.slices import LONG, slices

DATATYPES: dict[str, np.dtype[np.number[Any]]] = {
    "FP64": np.dtype("<f8"),
    "FP32": np.dtype("<f4"),
    "INT64": np.dtype("<i8"),
    "INT32": np.dtype("<i4"),
    "INT16": np.dtype("<i2"),
    "INT8": np.dtype("<i1"),
    "UINT64": np.dtype("<u8"),
    "UINT32": np.dtype("<u4"),
    "UINT16": np.dtype("<u2"),
    "UINT8": np.dtype("<u1"),
}
"""What a sensor's readings may be sent as."""

_NESTED = re.compile(rb"\[\s*\[")
_FLAT_VALUES = msgspec.json.Decoder(list[float | None])
_NESTED_VALUES = msgspec.json.Decoder(list[list[float | None]])


class Heading(Struct, frozen=True):
    """What is told of a tensor before its values; `place` is where in the request, for errors."""

    place: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[np.number[Any]]:
        """As numpy calls the datatype.

        Raises:
            InvalidContent: `unsupported-datatype`.
        """
        if self.datatype not in DATATYPES:
            raise InvalidContent(
                "unsupported-datatype", f"{self.place}: expected one of the datatypes {', '.join(DATATYPES)}."
            )
        return DATATYPES[self.datatype]


def from_bytes(heading: Heading, data: memoryview) -> Array:
    """The values in `data`, little-endian and row by row, in the heading's shape.

    Raises:
        InvalidContent: `unsupported-datatype`, `dimension-mismatch` or `number-out-of-range`.
    """
    size = math.prod(heading.shape) * heading.dtype.itemsize
    if len(data) != size:
        expected = f"expected {size} bytes, as its shape and datatype say"
        raise InvalidContent("dimension-mismatch", f"{heading.place}: {expected}, found {len(data)}.")
    with np.errstate(invalid="ignore"):  # a signalling NaN is a missing sensor like any other
        x = np.frombuffer(data, heading.dtype).astype(np.float64)
    return _within_limits(heading, x.reshape(heading.shape))


def from_json(heading: Heading, text: bytes) -> Array:
    """The values of a JSON array, flat or nested as the heading's shape.

    Raises:
        InvalidContent: as `from_bytes`, or `not-a-number`.
    """
    whole = heading.dtype.kind in "iu"
    size = math.prod(heading.shape)
    found = text.count(b",") + 1  # flat or nested, with as many values as the shape says; fewer are never built
    if found != size:
        detail = f"expected {size} values, as its shape says, found {found}"
        raise InvalidContent("dimension-mismatch", f"{heading.place}: {detail}.")
    try:
        x = _nested(heading, text) if _NESTED.match(text) else _flat(text)
    except msgspec.DecodeError as error:
        place = str(error).partition(" - at `$")[2].rstrip("`") if len(text) <= LONG else ""  # else it is in a slice
        detail = "expected an array of numbers, or null where a sensor is missing"
        raise InvalidContent("not-a-number", f"{heading.place}.data{place}: {detail}.") from None
    if x.size != size:
        raise InvalidContent("dimension-mismatch", f"{heading.place}: expected {size} values, found {x.size}.")
    if whole:
        _require_whole(heading, x)
    return _within_limits(heading, x.reshape(heading.shape))


def _flat(text: bytes) -> Array:
    if len(text) <= LONG:
        return np.array(_FLAT_VALUES.decode(text), dtype=np.float64)
    parts = [np.array(_FLAT_VALUES.decode(b"[" + part + b"]"), dtype=np.float64) for part in slices(text, b",")]
    return np.concatenate(parts)


def _nested(heading: Heading, text: bytes) -> Array:
    texts = [text] if len(text) <= LONG else (b"[" + part + b"]" for part in slices(text, b"]"))
    parts = [_part(heading, _NESTED_VALUES.decode(part)) for part in texts]
    if sum(map(len, parts)) != heading.shape[0]:
        raise _nested_otherwise(heading)
    return np.concatenate(parts)


def _part(heading: Heading, rows: list[list[float | None]]) -> Array:
    if heading.shape[1:] != tuple({len(row) for row in rows}):
        raise _nested_otherwise(heading)
    return np.array(rows, dtype=np.float64)


def _nested_otherwise(heading: Heading) -> InvalidContent:
    return InvalidContent("dimension-mismatch", f"{heading.place}: data is not nested as its shape says.")


def _require_whole(heading: Heading, x: Array) -> None:
    """Refuse what an integer datatype cannot hold; a missing sensor has no value to hold."""
    limits = np.iinfo(heading.dtype)  # type: ignore[type-var]
    beyond = float(limits.max + 1)  # a power of two, which float64 holds; the greatest of 64 bits it does not
    if not (np.isnan(x) | ((x == np.floor(x)) & (x >= limits.min) & (x < beyond))).all():
        raise InvalidContent("not-a-number", f"{heading.place}: expected integers that {heading.datatype} can hold.")


def _within_limits(heading: Heading, x: Array) -> Array:
    if (np.abs(x) >= FLOAT32_LIMIT).any():
        detail = "expected numbers within float32's range, ±3.4028235e38, or NaN where a sensor is missing"
        raise InvalidContent("number-out-of-range", f"{heading.place}: {detail}.")
    return x
