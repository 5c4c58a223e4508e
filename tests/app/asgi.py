"""An application asked directly, without a socket or a client between: a corpus asks it thousands of times."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
import uvicorn
from fastapi import FastAPI
from starlette.types import Message
from uvicorn.lifespan.on import LifespanOn


class Answer(NamedTuple):
    """What was answered, whole."""

    status: int
    headers: dict[str, str]
    content: bytes

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The content read."""
        return orjson.loads(self.content)


class Asked:
    """A running application."""

    def __init__(self, app: FastAPI, runner: asyncio.Runner, state: dict[str, Any]) -> None:
        self._app = app
        self._runner = runner
        self._state = state

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """The answer to a body, with headers whose names have _ for -."""
        return self._runner.run(self._post(path, body, headers))

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        sent: list[Message] = []
        arriving: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if not arriving:  # the client stays and says no more
                await asyncio.Event().wait()
            return arriving.pop()

        async def send(message: Message) -> None:
            sent.append(message)

        told = [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"plant"), (b"content-length", b"%d" % len(body)), *told],
            "state": self._state.copy(),
        }
        await self._app(scope, receive, send)
        start, *parts = sent
        content = b"".join(part.get("body", b"") for part in parts)
        return Answer(start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, content)


@contextmanager
def running(app: FastAPI) -> Iterator[Asked]:
    """The application between its start and its end, as uvicorn has them."""
    with asyncio.Runner() as runner:

        async def start() -> LifespanOn:
            lifespan = LifespanOn(uvicorn.Config(app, lifespan="on", log_config=None))
            await lifespan.startup()
            return lifespan

        lifespan = runner.run(start())
        yield Asked(app, runner, lifespan.state)
        runner.run(lifespan.shutdown())
