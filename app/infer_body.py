"""The JSON of an inference request (Open Inference Protocol), typed; names that the protocol leaves open pass.

Behind the JSON come the raw bytes of those tensors that it calls binary, in the order of its inputs. The header
Inference-Header-Content-Length tells where the JSON ends.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from app.cursor import require_names_once, with_hint
from app.errors import InvalidContent, MalformedBody

HEADER = "Inference-Header-Content-Length"
_OF_STRING = re.compile(rb'(?:[^"\\]{1,1000}+|\\.){0,1000}+', re.DOTALL)
"""A part of a string, short enough for other threads to have their turn behind it."""

Size = Annotated[int, Meta(ge=0, le=2**40)]


class InputParameters(Struct, frozen=True, omit_defaults=True):
    """How an input is sent."""

    binary_data_size: Size | None = None
    shared_memory_region: str | None = None


class Input(Struct, frozen=True, omit_defaults=True):
    """A tensor: its heading, and its values where they are JSON."""

    name: str
    shape: Annotated[tuple[Size, ...], Meta(max_length=8)]
    datatype: str
    data: Raw = Raw()
    parameters: InputParameters | None = None


class OutputParameters(Struct, frozen=True, omit_defaults=True):
    """How an output is to be sent."""

    binary_data: bool | None = None
    classification: int | None = None
    shared_memory_region: str | None = None


class Output(Struct, frozen=True, omit_defaults=True):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters | None = None


class Parameters(Struct, frozen=True, omit_defaults=True):
    """Of the request; the protocol has others, which are ignored."""

    binary_data_output: bool = False
    false_alarm_rate: float | None = None


class Body(Struct, frozen=True, omit_defaults=True):
    """The JSON of a request."""

    inputs: list[Input]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[Output] | None = None


_BODY = msgspec.json.Decoder(Body)


def end_of_json(header: str | None, length: int) -> int:
    """Where the JSON of a body of so many bytes ends, as the header says; without one it is all JSON.

    Raises:
        MalformedBody: `invalid-header`.
    """
    if header is None:
        return length
    if not (header.isascii() and header.isdigit() and len(header) < 19 and int(header) <= length):
        raise MalformedBody("invalid-header", f"{HEADER}: expected an integer from 0 to the body's length, {length}.")
    return int(header)


def decode(text: bytes) -> Body:
    """The typed request in a JSON text.

    Raises:
        MalformedBody: `invalid-json` or `duplicate-key`.
        InvalidContent: `shape`, it is JSON but no inference request.
    """
    if b"NaN" in text:
        text = _with_null_for_nan(text)
    try:
        read = _BODY.decode(text)
    except msgspec.ValidationError as error:
        raise InvalidContent("shape", f"{_told(error)}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else with_hint(str(error), text)
        raise MalformedBody("invalid-json", f"The JSON of {len(text)} bytes cannot be read: {reason}.") from None
    except RecursionError:
        raise MalformedBody("invalid-json", "The JSON is nested too deeply.") from None
    # The decoder keeps the last of two equal names. What it has read, written again, has as many quotes as the text,
    # unless a name is not ours, or is there twice.
    if b"\\" in text or msgspec.json.encode(read).count(b'"') != text.count(b'"'):
        require_names_once(text)
    return read


def _told(error: msgspec.ValidationError) -> str:
    """The decoder's words in ours: the place first, and the types without quotes."""
    what, _, place = str(error).replace("`", "").partition(" - at $")
    return f"{place.lstrip('.') or 'body'}: {what[:1].lower()}{what[1:]}"


def _with_null_for_nan(text: bytes) -> bytes:
    """NaN is no JSON, but what Triton's client writes for a missing sensor; within a string it stays."""
    written, at = bytearray(), 0
    while (quote := text.find(b'"', at)) >= 0:
        end = _behind_string(text, quote)
        written += text[at:quote].replace(b"NaN", b"null") + text[quote:end]
        at = end
    written += text[at:].replace(b"NaN", b"null")
    return bytes(written)


def _behind_string(text: bytes, quote: int) -> int:
    """Where the string that begins there ends; the text's end where it has none."""
    at = quote + 1
    while (found := _OF_STRING.match(text, at)) and found.end() > at:
        at = found.end()
    return min(at + 1, len(text))
