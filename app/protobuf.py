"""The wire format of Protocol Buffers, read strictly and without a schema: numbers and values of a message's fields.

What real parsers skip or mend is refused here: groups, numbers of more than 64 bits, fields numbered 0.
"""

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How a field's value is written."""
FIXED = {FIXED64: 8, FIXED32: 4}
MOST_BITS = 64
MOST_NUMBER = 2**29 - 1

Value = int | memoryview
"""A varint's number; of all other fields the bytes, where a message, text or packed numbers are."""


class WireError(Exception):
    """Bytes that are no message; the text says what was found."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Each field's number and value, in their order.

    Raises:
        WireError: the message ends within a field, or holds what is not written today.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number <= MOST_NUMBER:
            raise WireError(f"a field has the number {number}")
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in FIXED:
            size = FIXED[kind]
        else:
            raise WireError(f"field {number} is of the wire type {kind}")
        if size > len(message) - at:
            raise WireError(f"field {number} has {len(message) - at} of {size} bytes")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at a place, seven bits a byte, and the place behind it."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> MOST_BITS:
                break
            return value, at
        shift += 7
        if shift >= MOST_BITS:
            break
    raise WireError("a number does not end, or has more than 64 bits")
