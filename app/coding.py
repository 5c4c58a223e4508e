"""Content codings of HTTP: gzip and deflate, undone up to a limit, and done where an answer's reader asks for it."""

import gzip
import re
import zlib
from typing import Literal

from app.errors import BodyTooLarge, MalformedBody, UnsupportedMedia

Coding = Literal["gzip", "deflate"]

WORTHWHILE = 1024
"""Bytes below which an answer is one packet anyway and is not compressed."""
LEVEL = 1
"""Of zlib's nine: the low digits of readings do not compress, and the others do so at once."""
WINDOW: dict[str, int] = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""How zlib is told of each format; HTTP's deflate is zlib's format, not the bare stream (RFC 9110, 8.4.1)."""

_REFUSED = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*", re.IGNORECASE)


def require(coding: str) -> None:
    """Refuse a Content-Encoding that is not undone here; "" is none.

    Raises:
        UnsupportedMedia: `unsupported-coding`.
    """
    if coding.lower() not in ("", "identity", *WINDOW):
        raise UnsupportedMedia("unsupported-coding", "Expected the Content-Encoding gzip or deflate, or none.")


def undo(body: bytes, coding: str, limit: int) -> bytes:
    """A body as it was before `coding`; never more than `limit` bytes of it are made.

    Raises:
        BodyTooLarge: `body-too-large`.
        MalformedBody: `invalid-coding`, it is not what it says or ends too early.
    """
    window = WINDOW.get(coding.lower())
    if window is None:
        return body
    inflater = zlib.decompressobj(window)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise MalformedBody(
            "invalid-coding", f"The body is not {coding.lower()}, as its Content-Encoding says."
        ) from None
    if len(plain) > limit:
        raise BodyTooLarge("body-too-large", f"The body is longer than {limit} bytes when its coding is undone.")
    if not inflater.eof or inflater.unused_data:
        raise MalformedBody("invalid-coding", "The compressed body ends too early, or goes on behind its end.")
    return plain


def accepted(header: str, length: int) -> Coding | None:
    """What an Accept-Encoding lets an answer of so many bytes be compressed by; None for not at all."""
    if length < WORTHWHILE:
        return None
    weighed = (part.partition(";") for part in header.split(","))
    asked = {name.strip().lower() for name, _, weight in weighed if not _REFUSED.fullmatch(weight)}
    codings: tuple[Coding, ...] = ("gzip", "deflate")
    return next((coding for coding in codings if coding in asked), None)


def do(body: bytes, coding: Coding | None) -> bytes:
    """A body in a coding; the same body is always the same bytes."""
    match coding:
        case "gzip":
            return gzip.compress(body, LEVEL, mtime=0)
        case "deflate":
            return zlib.compress(body, LEVEL)
        case None:
            return body
