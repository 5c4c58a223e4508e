"""Reading a request's body: what it says it is, how long it may be, by when it must be here."""

import asyncio
from collections.abc import AsyncIterator
from email.message import Message

from starlette.requests import ClientDisconnect, Request

from app.errors import BodyTooLarge, RequestTimeout, UnsupportedMedia
from app.settings import Settings

JSON = "application/json"
NDJSON = "application/x-ndjson"
READ = (JSON, NDJSON)


def media_type(request: Request) -> str:
    """What the body says it is, one of `READ`.

    Raises:
        UnsupportedMedia: `unsupported-media-type`, `unsupported-charset` or `unsupported-coding`.
    """
    said = request.headers.get("content-type", "")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("unsupported-coding", "Expected a body without Content-Encoding; none is undone here.")
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


async def read_whole(request: Request, settings: Settings) -> bytes:
    """A body's bytes; no more of them are taken than the limit.

    Raises:
        BodyTooLarge: `body-too-large`.
        RequestTimeout: it has not arrived in time.
        ClientDisconnect: it will not arrive any more.
    """
    if _announced(request) > settings.max_body_bytes:
        raise _too_large(settings)
    try:
        async with asyncio.timeout(settings.body_seconds):
            return await _collected(request, settings)
    except TimeoutError:
        raise _late(settings) from None


async def read_pieces(request: Request, settings: Settings) -> AsyncIterator[bytes]:
    """A body's bytes as they arrive, of any number; the deadline is for each piece.

    Raises:
        RequestTimeout: nothing has arrived in time.
        ClientDisconnect: nothing will arrive any more.
    """
    more = True
    while more:
        try:
            async with asyncio.timeout(settings.body_seconds):
                piece, more = await _piece(request)
        except TimeoutError:
            raise _late(settings) from None
        yield piece


async def _collected(request: Request, settings: Settings) -> bytes:
    whole, more = await _piece(request)
    if more:
        body = bytearray(whole)
        while more and len(body) <= settings.max_body_bytes:
            piece, more = await _piece(request)
            body += piece
        whole = bytes(body)
    if len(whole) > settings.max_body_bytes:
        raise _too_large(settings)
    return whole


async def _piece(request: Request) -> tuple[bytes, bool]:
    """The next bytes, and whether there are more."""
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else 0


def _too_large(settings: Settings) -> BodyTooLarge:
    return BodyTooLarge("body-too-large", f"The body is longer than {settings.max_body_bytes} bytes.")


def _late(settings: Settings) -> RequestTimeout:
    return RequestTimeout("request-timeout", f"The body did not arrive within {settings.body_seconds:g} seconds.")
