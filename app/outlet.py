"""What goes to a client: for as long as it is taken, and closed so that it arrives."""

import asyncio
import fcntl
import struct
import termios
from collections.abc import Callable, Iterable
from socket import SO_ERROR, SOL_SOCKET
from typing import Any

from app.reception import Reception

INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"


class Outlet:
    """The transport of a connection."""

    def __init__(
        self,
        transport: asyncio.Transport,
        reception: Reception,
        sending: Callable[[], bool],
    ) -> None:
        """`sending` tells whether the client may be sending what nobody reads any more."""
        self._transport = transport
        self._reception = reception
        self._sending = sending
        self._untaken = 0
        """Bytes that the client had not taken when that was looked at last."""
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write data, unless nobody reads it any more; uvloop would raise then."""
        if not self.is_closing():
            self._transport.write(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        """Write several parts together, with one call to the kernel."""
        if not self.is_closing():
            self._transport.writelines(parts)

    def close(self) -> None:
        """Close when everything is written.

        To a client that is sending only this direction is closed, and what comes is read for a moment: a kernel that
        has bytes which nobody has read resets the connection, and what the client has not read yet is lost.
        """
        if self._transport.is_closing():
            return
        if self.is_closing is not _yes and self._sending() and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
            self._reception.leavers.start(self.close)
        else:
            self._transport.close()
        self.is_closing = _yes
        if self._transport.get_write_buffer_size():
            self.await_reader()

    def await_reader(self) -> None:
        """Wait for the client to take something of what is written."""
        self._untaken = self._waiting()
        self._reception.readers.start(self._look)

    def ask(self) -> None:
        """Find out whether anybody is there who sends no more: a kernel whose program is gone says so when asked."""
        self._transport.write(INTERIM)
        self._reception.quiet.start(self._listen)

    def forget(self) -> None:
        """Wait for nothing any more, and let go of the connection, which holds this: cycles stay for long."""
        self._sending = _no
        self._reception.readers.stop(self._look)
        self._reception.leavers.stop(self.close)
        self._reception.quiet.stop(self._listen)

    def resumed(self) -> None:
        """The client takes what is written, and there is room again."""
        if not self.is_closing():
            self._reception.readers.stop(self._look)

    def _listen(self) -> None:
        if self._transport.get_extra_info("socket").getsockopt(SOL_SOCKET, SO_ERROR):
            self._transport.abort()
        else:
            self._reception.quiet.start(self._listen)

    def _look(self) -> None:
        """Give up a client that has taken nothing since."""
        if self._waiting() < self._untaken:
            self.await_reader()
        else:
            self._transport.abort()

    def _waiting(self) -> int:
        """Bytes that the client has not taken: ours, and those of the kernel, which takes them in larger pieces."""
        ours = self._transport.get_write_buffer_size()
        try:
            told = fcntl.ioctl(self._transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:  # a kernel that does not tell
            return ours
        return ours + int(struct.unpack("i", told)[0])


def _yes() -> bool:
    return True


def _no() -> bool:
    return False
