"""Reading a request's body: what it says it is, how long it may be, by when it must be here."""

import asyncio
from email.message import Message

from fastapi import HTTPException, Request

from app.errors import BodyTooLarge, UnsupportedMedia
from app.settings import Settings

JSON = "application/json"


async def read_json(request: Request, settings: Settings) -> bytes:
    """The bytes of a body that says it is JSON.

    Raises:
        UnsupportedMedia: `unsupported-media-type`, `unsupported-charset` or `unsupported-coding`.
        BodyTooLarge, HTTPException: as `read_bytes`.
    """
    _check_media(request)
    return await read_bytes(request, settings)


async def read_bytes(request: Request, settings: Settings) -> bytes:
    """The bytes of a body, whatever it says it is; no more of them are taken than the limit.

    Raises:
        BodyTooLarge: `body-too-large`.
        HTTPException: 408 when it has not arrived in time.
    """
    if _announced(request) > settings.max_body_bytes:
        raise _too_large(settings)
    try:
        async with asyncio.timeout(settings.body_seconds):
            return await _collect(request, settings)
    except TimeoutError:
        detail = f"The body did not arrive within {settings.body_seconds:g} seconds."
        raise HTTPException(408, detail, {"Connection": "close"}) from None


async def _collect(request: Request, settings: Settings) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > settings.max_body_bytes:
            raise _too_large(settings)
    return bytes(body)


def _check_media(request: Request) -> None:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    if request.headers.get("content-type") is None or header.get_content_type() != JSON:
        raise UnsupportedMedia("unsupported-media-type", f"Expected Content-Type: {JSON}.")
    if header.get_content_charset("utf-8") not in ("utf-8", "utf8"):
        raise UnsupportedMedia("unsupported-charset", "Expected JSON in UTF-8.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMedia("unsupported-coding", "Expected a body without Content-Encoding; none is undone here.")


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 19 else 0


def _too_large(settings: Settings) -> BodyTooLarge:
    return BodyTooLarge("body-too-large", f"The body is longer than {settings.max_body_bytes} bytes.")
