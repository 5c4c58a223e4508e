"""How rows are put to a server and its scores read: rows in JSON, and the Open Inference Protocol v2."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.array import Array

HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Post:
    """A request, whole."""

    path: str
    headers: dict[str, str]
    body: bytes

    def message(self) -> bytes:
        """As it goes to a socket."""
        headers = {"Host": "127.0.0.1", **self.headers, "Content-Length": str(len(self.body))}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Answer:
    """A response, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Wire:
    """One way to ask for scores."""

    put: Callable[[str, Array], Post]
    """A path and rows [n, D] → the request."""
    scores: Callable[[Answer], Array] | None
    """The scores [n] of an answer; None where it holds none."""


def _put_rows(path: str, rows: Array) -> Post:
    body = json.dumps({"rows": rows.tolist()}).encode()
    return Post(path, {"Content-Type": "application/json"}, body)


def _put_v2(path: str, rows: Array) -> Post:
    tensor = {"name": "x", "datatype": "FP64", "shape": rows.shape, "data": rows.ravel().tolist()}
    body = json.dumps({"inputs": [tensor], "outputs": [{"name": "score"}]}).encode()
    return Post(path, {"Content-Type": "application/json"}, body)


def _put_v2_binary(path: str, rows: Array) -> Post:
    data = rows.astype("<f8").tobytes()
    size = {"binary_data_size": len(data)}
    tensor = {"name": "x", "datatype": "FP64", "shape": rows.shape, "parameters": size}
    wanted = {"name": "score", "parameters": {"binary_data": True}}
    head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return Post(path, headers, head + data)


def _json(answer: Answer) -> Any:  # noqa: ANN401 - whatever the server says
    return json.loads(answer.body)


def _binary_scores(answer: Answer) -> Array:
    return np.frombuffer(answer.body[int(answer.headers[HEADER_LENGTH]) :], dtype="<f8")


ROWS = Wire(_put_rows, lambda answer: np.array(_json(answer)["score"]))
"""`{"rows": …}` → `{"score": …}`"""
ROWS_TO_LIST = Wire(_put_rows, lambda answer: np.array(_json(answer)))
"""`{"rows": …}` → `[…]`"""
ROWS_TO_NOTHING = Wire(_put_rows, None)
"""`{"rows": …}` → a constant"""
V2 = Wire(_put_v2, lambda answer: np.array(_json(answer)["outputs"][0]["data"]))
V2_BINARY = Wire(_put_v2_binary, _binary_scores)
