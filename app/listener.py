"""A port, to its end: when it closes nobody is lost who had connected to it.

The kernel takes connections in before the service does, and resets those that still wait when the port closes. Of a
busy service some nearly always wait: who is told that a connection closes makes another at once.
"""

import asyncio
import ctypes
import ssl as tls
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import parent_process
from socket import SOL_SOCKET, socket
from typing import cast

import uvloop

from app.connection import Connection

Protocol = Callable[[], asyncio.BaseProtocol]

SO_ATTACH_FILTER = 26
"""Linux's option; Python has no name for it."""
NO_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in [
        (0x30, 0, 0, 13),  # the flags of TCP (RFC 9293, 3.1)
        (0x54, 0, 0, 0x12),  # of them SYN and ACK
        (0x15, 0, 1, 0x02),  # SYN alone, with which a connection begins:
        (0x06, 0, 0, 0),  # nothing of the packet is kept,
        (0x06, 0, 0, 2**32 - 1),  # else all of it
    ]
)
"""A filter of packets in the kernel's instructions (linux/filter.h)."""


def let_nobody_in(sock: socket) -> None:
    """Leave who would connect from here on to a port that is about to close for good without an answer.

    Who asks once more, as kernels do after a second, hears that the port is closed. Without this, which only Linux has,
    who connects in the last moment is reset.
    """
    if sys.platform == "linux":
        filtering = ctypes.create_string_buffer(NO_SYN, len(NO_SYN))
        with suppress(OSError):  # of a kernel that is not quite Linux
            sock.setsockopt(
                SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(NO_SYN) // 8, ctypes.addressof(filtering))
            )


class Listener:
    """What uvicorn asks of a server."""

    def __init__(
        self, server: asyncio.AbstractServer, sock: socket, backlog: int, protocol: Protocol, ssl: tls.SSLContext | None
    ) -> None:
        """Of a socket for which at most `backlog` connections wait in the kernel, and whose loop runs."""
        self._server = server
        self._sock = sock
        self._backlog = backlog
        self._protocol = protocol
        self._ssl = ssl
        self._last: list[asyncio.Task[None]] = []

    def close(self) -> None:
        """Close the port, and take everybody in who waits."""
        self._server.close()
        if parent_process() is None:  # one of several workers may be the only one to end
            let_nobody_in(self._sock)
        waiting: list[socket] = []
        with suppress(OSError):  # nobody waits any more, or nobody can be taken in
            while len(waiting) < self._backlog:  # where everybody is let in somebody might go on connecting for ever
                waiting.append(self._sock.accept()[0])
        self._sock.close()
        self._last = [asyncio.create_task(self._take(client)) for client in waiting]

    async def wait_closed(self) -> None:
        """Until the port is closed."""
        await asyncio.gather(*self._last)
        await self._server.wait_closed()

    async def _take(self, client: socket) -> None:
        """Let it ask, once."""
        with suppress(OSError):  # it is gone, or knows no TLS
            loop = asyncio.get_running_loop()
            _, connection = await loop.connect_accepted_socket(self._protocol, client, ssl=self._ssl)
            cast(Connection, connection).shutdown()


class Loop(uvloop.Loop):
    """uvloop's, at whose ports nobody is lost; uvicorn offers no other place to say so."""

    async def create_server(  # type: ignore[override] # uvicorn calls it in this way
        self, protocol_factory: Protocol, *, sock: socket, ssl: tls.SSLContext | None, backlog: int
    ) -> Listener:
        """Listen at a socket."""
        # uvloop closes the socket that it is given; nobody waits at it then who is not taken in.
        server = await super().create_server(protocol_factory, sock=sock.dup(), ssl=ssl, backlog=backlog)
        return Listener(server, sock, backlog, protocol_factory, ssl)
