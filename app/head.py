"""The head of a request: what it must have, how large it may be, and how it reads without the offer of an upgrade."""

import re
from collections.abc import Iterable

from app.errors import HeadTooLarge, MalformedRequest

Headers = list[tuple[bytes, bytes]]
"""Names in lower case and values."""

MOST_BYTES = 32 * 2**10
MOST_HEADERS = 100
VERSIONS = ("1.1", "1.0")
HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*")
"""What a header Host may have in it (RFC 3986, 3.2.2); where the target has no host it is empty."""
_WITHOUT_PATH = re.compile(rb"(https?://[^/?#]+)(\?.*)?", re.IGNORECASE | re.DOTALL)
OFFERS = (b"upgrade", b"http2-settings")
"""Headers that offer another protocol, and what the header Connection calls them."""


def check_size(url: bytes, headers: Headers) -> None:
    """Refuse a head of too many bytes or headers.

    Raises:
        HeadTooLarge: `head-too-large`.
    """
    if (
        len(headers) > MOST_HEADERS
        or len(url) + sum(len(name) + len(value) + 4 for name, value in headers) > MOST_BYTES
    ):
        raise too_large()


def too_large() -> HeadTooLarge:
    """What is told of too much in a head, or of too much of a body that adds nothing to it."""
    most = f"at most {MOST_BYTES} bytes and {MOST_HEADERS} headers"
    return HeadTooLarge("head-too-large", f"Expected {most} beside the body.")


def check_values(version: str, headers: Headers) -> None:
    """Refuse another version of HTTP, a Host that names none and codings that are not undone (RFC 9112, 2.3, 3.2, 6.1).

    Raises:
        MalformedRequest: `invalid-http`.
    """
    if version not in VERSIONS:
        raise MalformedRequest("invalid-http", "Expected a request in HTTP/1.1.")
    for name, value in headers:
        if name == b"host" and not HOST.fullmatch(value):
            raise MalformedRequest("invalid-http", "Expected the header Host to name a host, and maybe a port.")
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            raise MalformedRequest("invalid-http", "Expected no Transfer-Encoding but chunked.")


def with_path(url: bytes) -> bytes:
    """A target in absolute form whose path is empty, which is the path / (RFC 9110, 4.2.3); others as they are."""
    found = _WITHOUT_PATH.fullmatch(url)
    return found[1] + b"/" + (found[2] or b"") if found else url


def hostless() -> MalformedRequest:
    """What is told of a head without a Host, or with several."""
    return MalformedRequest("missing-host", "Expected one header Host.")


def without_offer(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """A head that asks for the same, but offers no other protocol: a server may ignore the offer (RFC 9110, 7.8)."""
    lines = [b"%b %b HTTP/%b" % (method, url, version.encode())]
    for name, value in headers:
        told = b", ".join(_not_offers(value)) if name == b"connection" else value
        if name not in OFFERS and (told or name != b"connection"):
            lines.append(b"%b: %b" % (name, told))
    return b"\r\n".join([*lines, b"", b""])


def _not_offers(connection: bytes) -> Iterable[bytes]:
    options = (option.strip() for option in connection.split(b","))
    return (option for option in options if option.lower() not in OFFERS)
