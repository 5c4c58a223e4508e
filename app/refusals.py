"""Errors as they are told: `{"error": …}` below /v2, as the Open Inference Protocol has it, and problems elsewhere."""

from collections.abc import Mapping

import orjson
from fastapi import Response

from app.errors import Fault
from app.problems import problem


def under_v2(path: str) -> bool:
    """Whether a path speaks the Open Inference Protocol."""
    return path == "/v2" or path.startswith("/v2/")


def refusal(
    path: str,
    status: int,
    code: str,
    detail: str,
    request_id: str,
    faults: tuple[Fault, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request at `path` that cannot be answered.

    Its media type under /v2 is application/json and no more, since KServe's client compares the header for equality.
    """
    if under_v2(path):
        return Response(orjson.dumps({"error": detail}), status, headers, "application/json")
    return problem(status, code, detail, request_id, faults, headers)
