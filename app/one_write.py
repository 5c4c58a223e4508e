"""An answer's head and body in one write: uvicorn writes each by itself, and every write is a call to the kernel."""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = b"HTTP/1.1 "
"""What a head begins with; a piece of a body that does too is kept as one, which does no harm."""


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's, on a connection that keeps heads."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin."""
        super().connection_made(cast(asyncio.Transport, HeadKeeper(transport, self.loop)))


class HeadKeeper:
    """A transport that keeps the head of an answer until something is written behind it, or the loop turns."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write data, behind the head where there is one; a head itself is not written yet."""
        if self._transport.is_closing():  # nobody reads it; uvloop would raise
            self._head = b""
        elif self._head:
            head, self._head = self._head, b""
            self._transport.writelines((head, data))
        elif data.startswith(HEAD):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close when everything is written."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a transport has
        return getattr(self._transport, name)

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)
