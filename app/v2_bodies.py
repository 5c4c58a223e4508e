"""The small bodies under /v2, which say which versions to list, or that nothing comes with a load or an unload."""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from app.cursor import require_names_once
from app.errors import BodyTooLarge, InvalidContent

MOST_BYTES = 2**16
"""They are read on the event loop, and have next to nothing to say."""
MEANT = frozenset({"unload_dependents"})
"""Parameters that Triton's client sends; no model depends on another here."""


class Index(Struct, frozen=True):
    """Which versions to list: those that are ready, or all. Other names pass."""

    ready: bool = False


class Control(Struct, frozen=True):
    """What comes with a load or an unload. Other names pass."""

    parameters: dict[str, Any] = {}


_INDEX = msgspec.json.Decoder(Index)
_CONTROL = msgspec.json.Decoder(Control)
Body = TypeVar("Body", Index, Control)


def read_index(body: bytes) -> Index:
    """The question in a body, which may be empty.

    Raises:
        BodyTooLarge: `body-too-large`.
        MalformedBody: `invalid-json` or `duplicate-key`.
        InvalidContent: `shape`.
    """
    return _read(body, _INDEX, 'Expected no body, or {"ready": true or false}.')


def require_nothing(body: bytes) -> None:
    """See that a load or an unload brings no model and no configuration: these come by the folder alone.

    Raises:
        BodyTooLarge, MalformedBody, InvalidContent: as `read_index`; or `unsupported-parameter`.
    """
    if not _read(body, _CONTROL, 'Expected no body, or {"parameters": {}}.').parameters.keys() <= MEANT:
        detail = "Expected no parameters: what is served is in the folder of models, and a request cannot bring it."
        raise InvalidContent("unsupported-parameter", detail)


def _read(body: bytes, decoder: msgspec.json.Decoder[Body], expected: str) -> Body:
    if len(body) > MOST_BYTES:
        raise BodyTooLarge("body-too-large", f"The body is longer than {MOST_BYTES} bytes.")
    if body:
        require_names_once(body)
    try:
        return decoder.decode(body or b"{}")
    except msgspec.ValidationError:
        raise InvalidContent("shape", expected) from None
