"""A request and its answer on a connection, in uvicorn's words a cycle: the answer's way out."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

CLOSE = (b"connection", b"close")
CHUNKED = (b"transfer-encoding", b"chunked")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WITHOUT_BODY = (204, 304)
SPEC_VERSION = "2.4"
"""Of ASGI: one in which `send` tells that the client is gone."""


class Gone(OSError):
    """Nobody takes the rest of an answer; ASGI has it that this is an OSError."""


class Cycle(RequestResponseCycle):
    """uvicorn's, whose answers are written whole.

    uvicorn searches the name and the value of each header for what must not be in it, and writes head and body each by
    itself, with a call to the kernel for each. Here a head is looked at once, when all of it is there, and goes out
    with what is behind it. The names of headers are in lower case, as ASGI has it.
    """

    _head = b""
    """The head of an answer whose body is still to come, and will be as long as it says."""
    _is_endless = False
    """Whether nothing but the end of the connection tells the end of the body."""

    async def send(self, message: Any) -> None:  # noqa: ANN401 - uvicorn has a type for it, Starlette another
        """Take a part of the answer.

        Raises:
            Gone: the client is, and more is to come.
            RuntimeError: it is not the application's turn to send this.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            if message.get("more_body"):
                raise Gone
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._begin(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            self._go_on(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"Unexpected ASGI message {kind!r}.")

    def _begin(self, status: int, given: Any) -> None:  # noqa: ANN401 - any pairs of bytes
        """Make the head, and write it where nobody knows when something comes behind it."""
        if self.waiting_for_100_continue and status < 300:  # an answer that begins before the body, which it is about
            self.transport.write(CONTINUE)
        self.response_started, self.waiting_for_100_continue = True, False
        headers = [*self.default_headers, *given]
        for name, value in headers:
            if name == b"content-length":
                self.chunked_encoding, self.expected_content_length = False, int(value)
            elif name == b"transfer-encoding":
                self.chunked_encoding = True
            elif name == b"connection" and b"close" in value.lower():
                self.keep_alive = False
        unknown = self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in WITHOUT_BODY
        if unknown and self.scope["http_version"] == "1.0":  # which knows no chunks: the body ends with the connection
            self._is_endless, self.keep_alive = True, False
        if not self.keep_alive and CLOSE not in headers:
            headers.append(CLOSE)
        if unknown and not self._is_endless:
            self.chunked_encoding = True
            headers.append(CHUNKED)
        head = b"%b%b\r\n" % (STATUS_LINE[status], b"".join([b"%b: %b\r\n" % header for header in headers]))
        if not head.count(b"\n") == head.count(b"\r") == len(headers) + 2:
            raise RuntimeError("A header has the end of a line in it.")
        if self.chunked_encoding or self._is_endless:
            self.transport.write(head)
        else:
            self._head = head

    def _go_on(self, body: bytes, more: bool) -> None:
        """Write a part of the body, and end the cycle behind the last."""
        if self.scope["method"] == "HEAD":
            body, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
        elif not self._is_endless:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0 or (self.expected_content_length and not more):
                raise RuntimeError("The body is not as long as its Content-Length.")
        if self._head:
            head, self._head = self._head, b""
            self.transport.writelines((head, body) if body else (head,))
        elif body:
            self.transport.write(body)
        if not more:
            self._end()

    def _end(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
