"""One inference of the Open Inference Protocol: a body for one model in, the answer's body out; nothing speaks HTTP."""

import time
from dataclasses import dataclass

from app import coding, inference
from app.coding import Coding
from app.infer_request import read_infer
from app.infer_response import write_infer
from app.metrics import Stages
from app.repository import Model
from app.settings import Settings
from app.verbs import shape


@dataclass(frozen=True)
class Asked:
    """A body as it arrived, and its headers: its coding, where its JSON ends and which codings an answer may have."""

    body: bytes
    coding: str
    json_bytes: str | None
    accepted: str
    at: float
    """When it was there, by time.perf_counter."""


@dataclass(frozen=True)
class Answered:
    """An answer's body and its headers, how many rows it answers, and what took how long."""

    body: bytes
    coding: Coding | None
    json_bytes: int | None
    rows: int
    stages: Stages


def infer(model: Model, asked: Asked, settings: Settings) -> Answered:
    """The wanted outputs of the rows that are asked about.

    Raises:
        MalformedBody, BodyTooLarge, InvalidContent: with the code of what is wrong.
    """
    started = time.perf_counter()
    plain = coding.undo(asked.body, asked.coding, settings.max_body_bytes)
    request = read_infer(plain, asked.json_bytes, shape(model, settings), tuple(inference.OUTPUTS))
    graphs = inference.needed(request, model, settings)
    read = time.perf_counter()
    results = inference.run(model.engine, request.x, graphs)
    arrays = inference.arrays(request, results, model, settings)
    computed = time.perf_counter()
    written = write_infer(model.manifest.name, model.manifest.version, request.id, request.outputs, arrays)
    answer_coding = coding.accepted(asked.accepted, len(written.body))
    body = coding.do(written.body, answer_coding)
    stages = Stages(
        queue=started - asked.at,
        compute_input=read - started,
        compute_infer=computed - read,
        compute_output=time.perf_counter() - computed,
    )
    return Answered(body, answer_coding, written.json_bytes, len(request.x), stages)
