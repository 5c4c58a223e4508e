"""Work for somebody who may go away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

Result = TypeVar("Result")


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
        while (await receive())["type"] != "http.disconnect":
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
