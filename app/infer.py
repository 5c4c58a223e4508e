"""One inference of the Open Inference Protocol: a body for one model in, a task out; nothing here speaks HTTP."""

import time

from msgspec import Struct

from app import coding, inference
from app.array import Array
from app.coding import Coding
from app.health import Scored
from app.infer_request import InferRequest, read_infer
from app.infer_response import Arrays, write_infer
from app.metrics import Metrics, Stages
from app.model import Model
from app.settings import Settings
from app.verbs import Graph, Task, shape


class Head(Struct, frozen=True):
    """What a request's headers say: its body's coding, where its JSON ends, which codings an answer may have."""

    coding: str
    json_bytes: str | None
    accepted: str
    at: float
    """When the body was there, by time.perf_counter."""


class Answered(Struct, frozen=True):
    """An answer's body and headers, how many rows it answers, what took how long, and what was said of ranked rows."""

    body: bytes
    coding: Coding | None
    json_bytes: int | None
    rows: int
    stages: Stages
    scored: Scored | None


class Counted(Struct, frozen=True):
    """A graph that counts how often it runs."""

    graph: Graph
    model: Model
    metrics: Metrics

    def __call__(self, x: Array) -> object:
        """What the graph says of rows x."""
        self.metrics.count_execution(self.model.manifest.name, self.model.manifest.version)
        return self.graph(x)


def infer(model: Model, settings: Settings, metrics: Metrics, head: Head, body: bytes) -> Task[Answered]:
    """The wanted outputs of the rows that are asked about.

    Raises:
        MalformedBody, BodyTooLarge, InvalidContent: with the code of what is wrong.
    """
    started = time.perf_counter()
    plain = coding.undo(body, head.coding, settings.max_body_bytes)
    request = read_infer(plain, head.json_bytes, shape(model, settings), tuple(inference.OUTPUTS))
    ask = inference.ask(request, model, settings)
    read = time.perf_counter()

    def finish(said: object) -> Answered:
        computed = time.perf_counter()
        arrays = ask.arrays(said)
        scored = (
            Scored(request.x, arrays["p_value"].astype(float, copy=False), ask.rate) if "p_value" in arrays else None
        )
        return _answered(request, model, head, arrays, (started, read, computed), scored)

    return Task(Counted(ask.graph, model, metrics), request.x, finish, ask.effort, model.engine.unit)


def _answered(
    request: InferRequest,
    model: Model,
    head: Head,
    arrays: Arrays,
    times: tuple[float, float, float],
    scored: Scored | None,
) -> Answered:
    started, read, computed = times
    written = write_infer(model.manifest.name, model.manifest.version, request.id, request.outputs, arrays)
    answer_coding = coding.accepted(head.accepted, len(written.body))
    body = coding.do(written.body, answer_coding)
    stages = Stages(
        queue=started - head.at,
        compute_input=read - started,
        compute_infer=computed - read,
        compute_output=time.perf_counter() - computed,
    )
    return Answered(body, answer_coding, written.json_bytes, len(request.x), stages, scored)
