"""An answer whose body is there when it begins."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import Response

NONE: Mapping[str, str] = MappingProxyType({})


class Answer(Response):
    """Starlette's, whose way to its headers takes longer than writing a small body."""

    def __init__(self, body: bytes, media_type: str, status: int = 200, headers: Mapping[str, str] = NONE) -> None:
        """A body, what it is, and the headers beside those that say so; they are in latin-1."""
        self.status_code = status
        self.body = body
        self.background = None
        self.raw_headers = [
            (b"content-type", media_type.encode("latin-1")),
            (b"content-length", b"%d" % len(body)),
            *[(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        ]
