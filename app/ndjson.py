"""A stream of questions, a line each, and the stream of their answers."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, suppress
from functools import partial

import msgspec
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.backlog import OF_STREAMS
from app.body import NDJSON
from app.cursor import json_text
from app.errors import BodyTooLarge, InvalidContent, MalformedBody, RequestError, Unavailable
from app.lines import Line, whole_lines
from app.model import Model
from app.presence import Ahead, while_present
from app.refusals import GONE
from app.scheduler import patiently
from app.service import MODEL_HEADER, Service
from app.verbs import Reply, Task, Verb, sample

LINES_AT_ONCE = 256
"""Lines that are answered together."""
TOLD_SECONDS = 0.1
"""After which those of them that are answered are told, though the rest takes longer."""
ROOM_SECONDS = 0.1
"""After which a line that there was no room for is tried again."""

_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Stream(StreamingResponse):
    """The answers to the lines of a request, each in its line's place, and at the end how many rows and errors it had.

    A line is what the body of a request is otherwise, or one row. The client has to read while it sends: what is not
    read is not kept, and what cannot be kept is not taken.
    """

    def __init__(
        self,
        verb: Verb,
        understand: Callable[[bytes], Task[Reply]],
        service: Service,
        request: Request,
        model: Model,
    ) -> None:
        super().__init__((), headers={MODEL_HEADER: model.identity}, media_type=NDJSON)
        self._verb = verb.__name__
        self._understand = understand if verb is sample else partial(_understand, understand)
        self._service = service
        self._ahead = Ahead(request.receive)
        self._request = Request(request.scope, self._ahead)
        self._manifest = model.manifest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, without starlette's own look for disconnects: it would take the pieces of the body for itself."""
        try:
            async with aclosing(self._answers()) as self.body_iterator:
                await self.stream_response(send)
        finally:
            self._ahead.close()

    async def _answers(self) -> AsyncGenerator[bytes]:
        most = self._service.settings.max_body_bytes
        rows = errors = last = 0
        try:
            async for lines in whole_lines(self._service.intake.pieces(self._request), most):
                for some in _parted(lines):
                    async with aclosing(self._in_order(some)) as told:
                        async for answers in told:
                            rows += sum(count for _, count in answers)
                            errors += sum(count == 0 for _, count in answers)
                            yield b"".join(answer for answer, _ in answers)
                    last = some[-1].number
            yield orjson.dumps({"rows": rows, "errors": errors}, option=orjson.OPT_APPEND_NEWLINE)
        except RequestError as error:  # of the stream, not of a line: without the last line it is seen to be cut short
            yield self._refused(last + 1, error)
        except ClientDisconnect:
            self._request.state.code = GONE
        finally:
            self._request.state.rows = rows

    async def _in_order(self, lines: list[Line]) -> AsyncGenerator[list[tuple[bytes, int]]]:
        """What `_answer` says of each, as it comes; what nobody wants any more is given up.

        Raises:
            ClientDisconnect: the client is gone.
        """
        waiting = deque(asyncio.ensure_future(self._answer(line)) for line in lines)
        try:
            while waiting:
                await while_present(self._ahead.leaving, asyncio.wait(waiting, timeout=TOLD_SECONDS))
                told = []
                while waiting and waiting[0].done():
                    told.append(waiting.popleft().result())
                if told:
                    yield told
        finally:
            for line in waiting:
                line.cancel()

    async def _answer(self, line: Line) -> tuple[bytes, int]:
        """The line's answer, and of how many rows; of none where it is refused."""
        try:
            if line.content is None:
                most = self._service.settings.max_body_bytes
                raise BodyTooLarge("body-too-large", f"The line is longer than {most} bytes.")
            reply = await self._computed(line.content)
        except RequestError as error:
            return self._refused(line.number, error), 0
        self._service.metrics.count_rows(self._verb, reply.rows)
        if reply.scored is not None:
            self._service.metrics.see(self._manifest, reply.scored)
        return reply.body + b"\n", reply.rows

    def _refused(self, line: int, error: RequestError) -> bytes:
        self._service.metrics.count_refusal(error.code)
        error.with_traceback(None)  # as in refusals
        told: dict[str, object] = {"line": line, "code": error.code, "detail": error.detail}
        return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)

    async def _computed(self, question: bytes) -> Reply:
        """The reply to a question once there is room for it: a stream waits where a request would be refused."""
        while True:
            try:
                return await self._service.scheduler.answer(self._understand, question, patiently, OF_STREAMS)
            except Unavailable:
                await asyncio.sleep(ROOM_SECONDS)


def _understand(understand: Callable[[bytes], Task[Reply]], line: bytes) -> Task[Reply]:
    """A line as the body of a request, or as one row: an array or an object by sensor name."""
    if _has_rows(line):
        return understand(line)
    try:
        task = understand(b'{"rows":[' + line + b"]}")
    except (MalformedBody, InvalidContent) as error:
        json_text(line)  # which raises where the line is no JSON by itself, with the place in it
        error.detail = _of_row(error.detail)
        raise
    if len(task.x) != 1:  # the brackets were ours, so this was several rows, but no JSON
        raise MalformedBody(
            "invalid-json", "The line is not JSON: rows follow each other without brackets around them."
        )
    return task


def _of_row(detail: str) -> str:
    """What is said of the first row of a body, said of the row itself."""
    own = detail.removeprefix("/rows/0")
    return f"row{own}" if own.startswith(":") else own


def _has_rows(line: bytes) -> bool:
    """Whether it has the field `rows`, however that is written."""
    if b'"rows"' in line or b"\\" not in line:
        return b'"rows"' in line
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "rows" in _FIELDS.decode(line)
    return False


def _parted(lines: list[Line]) -> Iterator[list[Line]]:
    for start in range(0, len(lines), LINES_AT_ONCE):
        yield lines[start : start + LINES_AT_ONCE]
