"""Errors as they are told over HTTP: the one table from error to status, and RFC 9457 problem documents."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.errors import (
    BodyTooLarge,
    Fault,
    InvalidContent,
    MalformedBody,
    RequestError,
    RequestTimeout,
    UnknownResource,
    UnsupportedMedia,
)

MEDIA_TYPE = "application/problem+json"
STATUS: dict[type[RequestError], int] = {
    MalformedBody: 400,
    UnknownResource: 404,
    RequestTimeout: 408,
    BodyTooLarge: 413,
    UnsupportedMedia: 415,
    InvalidContent: 422,
}
"""The one table from error to status."""
HEADERS: dict[type[RequestError], dict[str, str]] = {
    # The rest of the body is not read, so the connection cannot carry another request.
    BodyTooLarge: {"Connection": "close"},
    RequestTimeout: {"Connection": "close"},
    UnsupportedMedia: {"Accept": "application/json, application/x-ndjson", "Accept-Encoding": "identity"},
}
CLIENT_GONE = 499
"""Nobody reads this; it is what the log and the metrics tell (nginx's word for it)."""


def refusal(request: Request, error: RequestError) -> Response:
    """What a client is told whose request cannot be answered."""
    request.state.code = error.code
    status, headers = STATUS[type(error)], HEADERS.get(type(error))
    return problem(status, error.code, error.detail, request.state.request_id, error.faults, headers)


def farewell(request: Request) -> Response:
    """The answer to a client that is gone."""
    request.state.code = "client-gone"
    return Response(status_code=CLIENT_GONE)


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    faults: tuple[Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document; `code` is for programs, `detail` and the faults are for people."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if faults:
        document["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in faults]
    return Response(orjson.dumps(document), status, headers, MEDIA_TYPE)
