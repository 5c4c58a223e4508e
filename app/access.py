"""Around every request: its id, its line in the log, its place in the metrics, an answer to what nobody expected."""

import asyncio
import itertools
import logging
import re
import secrets
import time

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import browsers
from app.backlog import OVERLOADED
from app.cycle import CLOSE, Gone
from app.drain import Drain, stopped
from app.metrics import Metrics
from app.refusals import GONE, refusal, refuse

REQUEST_ID = b"x-request-id"
_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})

TOLD_EVERY = 0.1
"""Seconds between two lines of requests that are refused since too many come: each line costs as much as refusing."""
LINE = "request_id=%(request_id)s %(method)s %(route)s %(status)d %(code)s %(ms).1fms key=%(key)s"

log = logging.getLogger("nelbo.access")


class Access:
    """The outermost ASGI layer.

    What was refused, or failed, has a line in the log; what was answered is counted, and has one when `log_answers`.
    """

    def __init__(self, app: ASGIApp, drain: Drain, metrics: Metrics, log_answers: bool, tls: bool) -> None:
        self._app = app
        self._drain = drain
        self._on_pages = browsers.headers(tls, page=True)
        self._on_others = browsers.headers(tls, page=False)
        self._metrics = metrics
        self._least_status = 0 if log_answers else 400
        self._tell_at = 0.0
        self._series = secrets.token_hex(8)
        self._numbers = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        header = (REQUEST_ID, request_id.encode())
        constant = self._on_others if scope["method"] == "POST" else self._on_pages
        started, status = time.perf_counter(), 0
        self._metrics.requests_in_flight += 1

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), header, *constant]
                if self._drain.begun and CLOSE not in message["headers"]:
                    message["headers"].append(CLOSE)
            await send(message)

        try:
            await self._app(scope, receive, identified)
        except (Gone, ClientDisconnect):
            scope["state"]["code"] = GONE
        except Exception:
            scope["state"]["code"] = "internal-error"
            log.exception("request_id=%s failed", request_id, extra={"request_id": request_id})
            if status:  # half of an answer is out; only closing the connection can tell that it is not whole
                raise
            detail = "This is a fault of the service; its log has more."
            response = refusal(scope, 500, "internal-error", detail)
            await response(scope, receive, identified)
        except asyncio.CancelledError:
            # The server gives up what is not done in time when it stops; nothing waits for this task any more.
            error = stopped()
            scope["state"]["code"] = error.code
            if not status:
                await refuse(Request(scope), error)(scope, receive, identified)
        finally:
            self._metrics.requests_in_flight -= 1
            self._tell(scope, request_id, status, time.perf_counter() - started)

    def _request_id(self, scope: Scope) -> str:
        """The one that the request brings, where it is sane; else one of our own."""
        for name, value in scope["headers"]:
            if name == REQUEST_ID and _SANE_ID.fullmatch(value):
                return str(value, "ascii")
        return f"{self._series}{next(self._numbers):016x}"

    def _tell(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.count_request(method, route, status, seconds)
        state = scope["state"]
        code = state.get("code")  # a stream that was cut short has one too
        if code:
            self._metrics.count_refusal(code)
        if code == OVERLOADED and not self._is_time_to_tell():
            return
        if code or status >= self._least_status:
            told = {
                "request_id": request_id,
                "method": method,
                "route": route,
                "status": status,
                "code": code,
                "rows": state.get("rows"),
                "bytes": state.get("bytes"),
                "ms": round(1000 * seconds, 3),
                "key": getattr(state.get("key"), "name", None),
            }
            log.info(LINE, {name: "-" if value is None else value for name, value in told.items()}, extra=told)

    def _is_time_to_tell(self) -> bool:
        """Whether no request was told of for a while that was refused since too many come; all are counted."""
        now = time.perf_counter()
        if now < self._tell_at:
            return False
        self._tell_at = now + TOLD_EVERY
        return True
