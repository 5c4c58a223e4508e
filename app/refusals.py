"""Errors as they are told: `{"error": …}` below /v2, as the Open Inference Protocol has it, and problems elsewhere."""

import random
from collections.abc import Mapping

import orjson
from starlette._utils import get_route_path  # what the routes themselves ask
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.answer import NONE, Answer
from app.errors import (
    BodyTooLarge,
    Fault,
    Forbidden,
    HeadTooLarge,
    InvalidContent,
    MalformedBody,
    MalformedRequest,
    NotEnabled,
    RequestError,
    RequestTimeout,
    Unauthenticated,
    Unavailable,
    UnknownResource,
    UnsupportedMedia,
)
from app.problems import problem

STATUS: dict[type[RequestError], int] = {
    MalformedRequest: 400,
    MalformedBody: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    UnknownResource: 404,
    RequestTimeout: 408,
    BodyTooLarge: 413,
    UnsupportedMedia: 415,
    InvalidContent: 422,
    HeadTooLarge: 431,
    NotEnabled: 503,
    Unavailable: 503,
}
"""The one table from error to status."""
V2_STATUS = STATUS | {InvalidContent: 400}
"""Under /v2, where the protocol's servers know one status for whatever is wrong with a body."""
HEADERS: dict[type[RequestError], dict[str, str]] = {
    # The rest of the body is not read, so the connection cannot carry another request.
    Unauthenticated: {"WWW-Authenticate": "Bearer", "Connection": "close"},
    Forbidden: {"Connection": "close"},
    BodyTooLarge: {"Connection": "close"},
    RequestTimeout: {"Connection": "close"},
    UnsupportedMedia: {"Accept": "application/json, application/x-ndjson", "Accept-Encoding": "identity"},
}
V2_HEADERS = HEADERS | {UnsupportedMedia: {"Accept-Encoding": "gzip, deflate"}}
RETRY_SECONDS = ("1", "2", "3")
"""A client that may ask again is told one of these, so that those refused together do not return together."""
GONE = "client-gone"
"""The code of what nobody waits for any more."""
CLIENT_GONE = 499
"""Nobody reads this; it is what the log and the metrics tell (nginx's word for it)."""


def under_v2(path: str) -> bool:
    """Whether a path speaks the Open Inference Protocol."""
    return path == "/v2" or path.startswith("/v2/")


def refuse(request: Request, error: RequestError) -> Response:
    """What a client is told whose request cannot be answered."""
    scope, kind = request.scope, type(error)
    scope["state"]["code"] = error.code
    error.with_traceback(None)  # its frames hold the body, and the futures that hold the error
    statuses, headers = (V2_STATUS, V2_HEADERS) if under_v2(get_route_path(scope)) else (STATUS, HEADERS)
    told = {"Retry-After": random.choice(RETRY_SECONDS)} if kind is Unavailable else headers.get(kind, NONE)
    return refusal(scope, statuses[kind], error.code, error.detail, error.faults, told)


async def answer_refused(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what the connection took for no request, instead of the application; `refusal` of its state is why."""
    await refuse(Request(scope), scope["state"]["refusal"])(scope, receive, send)


def farewell(request: Request) -> Response:
    """The answer to a client that is gone."""
    request.scope["state"]["code"] = GONE
    return Response(status_code=CLIENT_GONE)


def refusal(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    faults: tuple[Fault, ...] = (),
    headers: Mapping[str, str] = NONE,
) -> Response:
    """The answer to a request that cannot be answered, in the words of where it was asked.

    Its media type under /v2 is application/json and no more, since KServe's client compares the header for equality.
    """
    if under_v2(get_route_path(scope)):
        return Answer(orjson.dumps({"error": detail}), "application/json", status, headers)
    return problem(status, code, detail, scope["state"]["request_id"], faults, headers)
