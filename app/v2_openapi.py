"""What FastAPI cannot know of the addresses under /v2: bodies that they read themselves, and errors."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from app.body import JSON
from app.infer_body import HEADER
from app.v2 import BINARY
from app.v2_schemas import V2ControlRequest, V2Error, V2IndexRequest, V2InferRequest

Schema = dict[str, Any]
READ_BY_HAND = (V2InferRequest, V2IndexRequest, V2ControlRequest, V2Error)
"""The schemas that no route tells FastAPI of."""
REF = "#/components/schemas/{model}"
RAW = {
    "type": "string",
    "format": "binary",
    "contentMediaType": BINARY,
    "description": f"A JSON object of {HEADER} bytes, and the raw tensors behind it",
}
LENGTH = {"type": "integer", "minimum": 0}


def describe(path: str, operation: Schema, statuses: Iterable[int]) -> None:
    """Complete an operation at a path under /v2; `statuses` are those that an inference can be refused with."""
    told = {404, 500} if "{name}" in path else {500}
    if path.endswith("/infer"):
        told |= {403, *statuses}
        operation["parameters"].append({"name": HEADER, "in": "header", "required": False, "schema": LENGTH})
        operation["requestBody"] = _body(V2InferRequest.__name__, binary=True)
        operation["responses"]["200"] |= {
            "headers": {HEADER: {"schema": LENGTH, "description": "Where raw tensors follow the JSON"}},
            "content": operation["responses"]["200"]["content"] | {BINARY: {"schema": RAW}},
        }
    if path.endswith(("/live", "/ready")):
        told |= {503}
    if path.endswith("/index"):
        told |= {400, 408, 413}
        operation["requestBody"] = _body(V2IndexRequest.__name__, binary=False)
    if path.endswith("load"):
        told |= {400, 408, 413, 503}
        operation["requestBody"] = _body(V2ControlRequest.__name__, binary=False)
    content = {JSON: {"schema": {"$ref": REF.format(model=V2Error.__name__)}}}
    operation["responses"] |= {
        str(status): {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(told)
    }


def _body(model: str, binary: bool) -> Schema:
    content: Schema = {JSON: {"schema": {"$ref": REF.format(model=model)}}}
    return {"content": content | ({BINARY: {"schema": RAW}} if binary else {}), "required": binary}
