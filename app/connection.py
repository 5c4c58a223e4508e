"""A connection: what a client may send on it before it is a request, and how long that is waited for.

uvicorn parses HTTP and runs the application. It waits for a head for ever and takes one of any size, loses the body
behind an offer to upgrade, answers what does not parse by itself and at once, and forgets who sends no more. On what of
it this stands, tests/app/test_uvicorn.py tells.
"""

import asyncio
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app import head, refused
from app.cycle import SPEC_VERSION, Cycle
from app.errors import MalformedRequest, RequestError, RequestTimeout
from app.outlet import Outlet
from app.reception import Reception

MOST_WAITING = 64
"""Requests that wait for the answer to the one before; what was sent behind them is not read, and not answered."""


class TooManyWait(Exception):
    """As many requests wait on a connection as may."""


class Connection(HttpToolsProtocol):
    """uvicorn's, with an end to everything."""

    transport: Outlet  # type: ignore[assignment] # of which uvicorn knows less

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """As uvicorn makes it; the application's lifespan has put a reception into its state."""
        super().__init__(config, server_state, app_state, _loop)
        self._reception: Reception = app_state["reception"]
        self.timeout_keep_alive = self._reception.settings.idle_seconds
        self._deaf = False
        """Whether what the client sends is thrown away."""
        self._is_last = False
        """Whether the request that is under way, or the next one, is the last."""
        self._awaited = False
        """Whether the time of a head runs."""
        self._arrived = 0
        """Bytes that came last."""
        self._useless = 0
        """Bytes that came, one after the other, without completing a head or adding to a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for a head."""
        outlet = Outlet(transport, self._reception, self._is_sending)
        super().connection_made(cast(asyncio.Transport, outlet))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and wait for nothing any more."""
        super().connection_lost(exc)
        self._deaf = True
        self._reception.heads.stop(self._head_is_late)
        self._reception.quiet.stop(self._ask_who_is_left)
        self._reception.last.stop(self._nothing_came)
        self.transport.forget()

    def data_received(self, data: bytes) -> None:
        """Take bytes: parts of heads and bodies, one or many."""
        self._unset_keepalive_if_required()
        before = self.cycle
        held = len(before.body) if before is not None and before.more_body else 0
        while not self._deaf:
            self._arrived = len(data)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = self._without_offer(data[offer.args[0] :])
                continue
            except httptools.HttpParserError as error:
                self._refuse(error.__context__)
                return
            cycle = self.cycle
            if cycle is None or cycle.scope is not self.scope:
                self._go_on_with_head()
            elif cycle.response_complete:
                self._go_on_with_rest()
            elif self._awaited or cycle.more_body:
                self._go_on_with_body(cycle is not before or len(cycle.body) > held)
            return

    def on_headers_complete(self) -> None:
        """Make a request of a head, unless it must not be one; the parser stops at what is raised here.

        Every request comes by here, so that only what is not plain is looked at closely.
        """
        hosts, plain = 0, self.parser.get_http_version() in head.VERSIONS and self.url.startswith(b"/")
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
                plain = plain and head.HOST.fullmatch(value) is not None
            elif name == b"transfer-encoding":
                plain = False
        large = self._awaited or self._arrived > head.MOST_BYTES or len(self.headers) > head.MOST_HEADERS
        if large or hosts != 1 or self.expect_100_continue or not plain:
            self._check_head(hosts)
        if len(self.pipeline) >= MOST_WAITING:
            raise TooManyWait
        HttpToolsProtocol.on_headers_complete(self)
        if self.cycle is not None:  # of a head that offers an upgrade none is made
            self.cycle.__class__ = Cycle  # uvicorn cannot be told to make one
            self.scope["asgi"]["spec_version"] = SPEC_VERSION
            if self._is_last:
                self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Answer what was asked, or is asked within a moment, and close; the service stops."""
        self._is_last = True
        if self.cycle is None or self.cycle.response_complete:
            self._reception.last.start(self._nothing_came)
        else:
            self.cycle.keep_alive = False

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn has no answer
        """Whether to keep the connection although the client sends no more: for an answer that is due."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body or self.transport.is_closing():
            return False
        if self.scheme == "https":  # its transport cannot be kept
            return False
        cycle.keep_alive = False
        self._reception.heads.stop(self._head_is_late)
        self._reception.quiet.start(self._ask_who_is_left)
        return True

    def pause_writing(self) -> None:
        """Wait until the client takes what is written."""
        super().pause_writing()
        self.transport.await_reader()

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        self.transport.resumed()

    def _go_on_with_head(self) -> None:
        """Wait for a head that is not complete."""
        if self._await_head() > head.MOST_BYTES:
            self._refuse(head.too_large())

    def _go_on_with_rest(self) -> None:
        """Wait for the end of a request that is answered already, and for the next one."""
        most = self._reception.settings.max_body_bytes
        if self._await_head() > most or len(self.headers) > 2 * head.MOST_HEADERS:
            self.transport.close()

    def _go_on_with_body(self, grew: bool) -> None:
        """Leave it to the application to wait for a body, if something of it came; trailers come as headers."""
        if self._awaited:
            self._awaited = False
            self._reception.heads.stop(self._head_is_late)
        self._useless = 0 if grew else self._useless + self._arrived
        if self._useless > head.MOST_BYTES or len(self.headers) > 2 * head.MOST_HEADERS:
            self._refuse(head.too_large())

    def _await_head(self) -> int:
        """Let a head's time run; the bytes that came since it does."""
        if self._awaited:
            self._useless += self._arrived
        else:
            self._awaited, self._useless = True, 0
            self._reception.heads.start(self._head_is_late)
        return self._useless

    def _head_is_late(self) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._reception.heads.start(self._head_is_late)  # while an answer is due the rest may not have been read
        elif cycle is not None and cycle.scope is self.scope:
            self.transport.close()  # nothing has begun: as when nothing comes between requests
        else:
            seconds = self._reception.settings.head_seconds
            late = f"The head of the request did not arrive within {seconds:g} seconds."
            self._refuse(RequestTimeout("request-timeout", late))

    def _nothing_came(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def _check_head(self, hosts: int) -> None:
        """Look at a head that may be too large, have a value that is none, or has not one header Host (RFC 9112, 3.2).

        Raises:
            HeadTooLarge: `head-too-large`.
            MalformedRequest: `missing-host` or `invalid-http`.
        """
        head.check_size(self.url, self.headers)
        self.url = head.with_path(self.url)
        head.check_values(self.parser.get_http_version(), self.headers)
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # it knows neither that, nor Host
        elif hosts != 1:
            raise head.hostless()

    def _should_upgrade(self) -> bool:
        """What uvicorn asks of a head that offers an upgrade, and of every CONNECT: whether to leave it to us."""
        return bool(self.parser.get_method() != b"CONNECT")

    def _without_offer(self, rest: bytes) -> bytes:
        """What to read instead of an offer to upgrade and what came behind it."""
        method = self.parser.get_method()
        if method == b"CONNECT":  # the application answers it; what comes next would be for somebody else
            self._deaf, self.cycle.keep_alive = True, False
            return b""
        version = self.parser.get_http_version()
        self.parser = httptools.HttpRequestParser(self)  # one that was to be upgraded is not to be relied on
        return head.without_offer(method, self.url, version, self.headers) + rest

    def _refuse(self, reason: BaseException | None) -> None:
        """Read no more, and say why behind the answers that are due; the reason is what the parser stopped at."""
        self._deaf = True
        self._reception.heads.stop(self._head_is_late)
        if isinstance(reason, TooManyWait):
            self.cycle.keep_alive = False
            return
        if not isinstance(reason, RequestError):
            reason = MalformedRequest("invalid-http", "Expected a request in HTTP/1.1.")
        before = self._give_up_part()
        if before is not None and before.disconnected and before.response_started:
            self.transport.close()  # nothing else can be said in the middle of an answer
            return
        self.cycle = refused.cycle_of(self, reason)
        if before is None or before.disconnected:
            self._start_asgi_task(self.cycle, self._reception.refused)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self._reception.refused))

    def _give_up_part(self) -> RequestResponseCycle | None:
        """The last request that is not answered, if any; where its body will not be complete, nobody waits for that."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return None
        if cycle.more_body and self.pipeline:
            self.pipeline.popleft()
        elif cycle.more_body:
            cycle.disconnected = True
            cycle.message_event.set()
        return cycle

    def _is_sending(self) -> bool:
        return self._deaf or (self.cycle is not None and self.cycle.more_body)

    def _ask_who_is_left(self) -> None:
        """Ask a client that sends no more, unless its answer has begun; HTTP/1.0 has no words for it."""
        if not self.cycle.response_started and not self.pipeline and self.cycle.scope["http_version"] != "1.0":
            self.transport.ask()
