"""The body that may come with a look at the index of the Open Inference Protocol's repository."""

import msgspec
from msgspec import Struct

from app.cursor import require_names_once
from app.errors import BodyTooLarge, InvalidContent


class Index(Struct, frozen=True):
    """Which versions to list: those that are ready, or all. Other names pass."""

    ready: bool = False


MOST_BYTES = 2**16
"""It is read on the event loop, and has next to nothing to say."""

_INDEX = msgspec.json.Decoder(Index)


def read_index(body: bytes) -> Index:
    """The question in a body, which may be empty.

    Raises:
        BodyTooLarge: `body-too-large`.
        MalformedBody: `invalid-json` or `duplicate-key`.
        InvalidContent: `shape`.
    """
    if not body:
        return Index()
    if len(body) > MOST_BYTES:
        raise BodyTooLarge("body-too-large", f"The body is longer than {MOST_BYTES} bytes.")
    require_names_once(body)
    try:
        return _INDEX.decode(body)
    except msgspec.ValidationError:
        raise InvalidContent("shape", 'Expected no body, or {"ready": true or false}.') from None
