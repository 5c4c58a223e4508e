"""Errors as they are told over HTTP: RFC 9457 problem documents."""

from collections.abc import Mapping
from http.client import responses

import orjson
from starlette.responses import Response

from app.answer import NONE, Answer
from app.errors import Fault

MEDIA_TYPE = "application/problem+json"


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str,
    faults: tuple[Fault, ...] = (),
    headers: Mapping[str, str] = NONE,
) -> Response:
    """A problem document; `code` is for programs, `detail` and the faults are for people."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": responses[status],
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    if faults:
        document["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in faults]
    return Answer(orjson.dumps(document), MEDIA_TYPE, status, headers)
