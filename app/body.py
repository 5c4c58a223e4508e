"""Reading a request's body: what it says it is, how long it may be, by when it must be here."""

from collections.abc import AsyncIterator
from email.message import Message

from starlette.requests import ClientDisconnect, Request

from app.deadline import Deadline
from app.errors import BodyTooLarge, RequestTimeout, UnsupportedMedia
from app.presence import DISCONNECT
from app.settings import Settings

JSON = "application/json"
NDJSON = "application/x-ndjson"
READ = (JSON, NDJSON)


class Intake:
    """How much of a body is taken, and for how long; of one service, on its event loop."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_body_bytes
        late = f"The body did not arrive within {settings.body_seconds:g} seconds."
        quiet = f"Nothing of the stream arrived for {settings.body_seconds:g} seconds."
        self._deadline = Deadline(settings.body_seconds, lambda: RequestTimeout("request-timeout", late))
        self._next = Deadline(settings.body_seconds, lambda: RequestTimeout("request-timeout", quiet))

    async def whole(self, request: Request) -> bytes:
        """A body's bytes; no more of them are taken than the limit.

        Raises:
            BodyTooLarge: `body-too-large`.
            RequestTimeout: it has not arrived in time.
            ClientDisconnect: it will not arrive any more.
        """
        if announced(request) > self._most:
            raise self._too_large()
        with self._deadline:
            whole, more = await _piece(request)
            if more:
                whole = await self._with_the_rest(whole, request)
        if len(whole) > self._most:
            raise self._too_large()
        request.scope["state"]["bytes"] = len(whole)
        return whole

    async def pieces(self, request: Request) -> AsyncIterator[bytes]:
        """A body's bytes as they arrive, of any number; the deadline is for each piece.

        Raises:
            RequestTimeout: nothing has arrived in time.
            ClientDisconnect: nothing will arrive any more.
        """
        more = True
        while more:
            with self._next:
                piece, more = await _piece(request)
            yield piece

    async def _with_the_rest(self, first: bytes, request: Request) -> bytes:
        # They are put together in the end only: glibc keeps twice as much as the largest block that it saw freed
        # (mallopt(3)), so that what is refused is never to be one.
        pieces, length, more = [first], len(first), True
        while more:
            piece, more = await _piece(request)
            pieces.append(piece)
            length += len(piece)
            if length > self._most:
                raise self._too_large()
        return b"".join(pieces)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge("body-too-large", f"The body is longer than {self._most} bytes.")


def media_type(request: Request) -> str:
    """What the body says it is, one of `READ`.

    Raises:
        UnsupportedMedia: `unsupported-media-type`, `unsupported-charset` or `unsupported-coding`.
    """
    if _header(request, b"content-encoding").lower() not in ("", "identity"):
        raise UnsupportedMedia("unsupported-coding", "Expected a body without Content-Encoding; none is undone here.")
    said = _header(request, b"content-type")
    if said in READ:
        return said
    header = Message()
    header["content-type"] = said
    kind = header.get_content_type()
    if not said or kind not in READ:
        raise UnsupportedMedia("unsupported-media-type", f"Expected Content-Type: {JSON}, or {NDJSON} for a stream.")
    if header.get_content_charset("utf-8") not in ("utf-8", "utf8"):
        raise UnsupportedMedia("unsupported-charset", "Expected JSON in UTF-8.")
    return kind


def announced(request: Request) -> int:
    """How many bytes a body will have, as its header Content-Length says; 0 where that does not say it."""
    length = _header(request, b"content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= 20 else 0


async def _piece(request: Request) -> tuple[bytes, bool]:
    """The next bytes, and whether there are more."""
    message = await request.receive()
    if message["type"] == DISCONNECT:
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _header(request: Request, wanted: bytes, otherwise: str = "") -> str:
    """One header's value, as `request.headers` has it, but faster."""
    for name, value in request.scope["headers"]:
        if name == wanted:
            return str(value, "latin-1")
    return otherwise
