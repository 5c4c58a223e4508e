"""Work for somebody who may go away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

DISCONNECT = "http.disconnect"

Result = TypeVar("Result")


class Ahead:
    """A `receive` that can be looked ahead of, by one message: whether a client leaves that may still be sending."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._coming: asyncio.Future[Message] | None = None

    async def __call__(self) -> Message:
        """The next message."""
        coming, self._coming = self._coming, None
        return await (self._receive() if coming is None else coming)

    async def leaving(self) -> Message:
        """Like a `receive` that hears of nothing but the client's leaving; where something else comes first, that is
        kept for whoever receives next, and nothing is heard any more."""
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._receive())
        await asyncio.wait([self._coming])
        message = self._coming.result()
        if message["type"] != DISCONNECT:
            await asyncio.Event().wait()
        return message

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._coming is not None:
            self._coming.cancel()


async def while_present(receive: Receive, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is given up when the client is gone; its body has been read.

    Raises:
        ClientDisconnect: it is gone.
    """
    working = asyncio.current_task()
    assert working is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != DISCONNECT:
            pass
        gone = True
        working.cancel()

    watching = asyncio.ensure_future(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if gone and not working.uncancel():  # by nobody else
            raise ClientDisconnect from None
        raise
    finally:
        watching.cancel()
