"""Which graphs the outputs of an inference need, and the outputs' arrays from what the graphs say.

The two steps are apart, so that what runs the graphs may run those of several requests together.
"""

from dataclasses import dataclass
from typing import Literal

from app.array import Array
from app.engine import Encoding, Engine, Scores
from app.errors import InvalidContent
from app.importance import Moments
from app.infer_request import InferRequest
from app.infer_response import Arrays
from app.repository import Model
from app.settings import Settings
from app.verbs import default_rate, most_explained

Graph = Literal["score", "encode", "expected"]
Axis = Literal["sensors", "latents"]


@dataclass(frozen=True)
class Output:
    """What an output is made by, and its second axis, where it has one: [n] or [n, axis]."""

    graph: Graph
    axis: Axis | None = None
    datatype: Literal["FP64", "BOOL"] = "FP64"


OUTPUTS = {
    "score": Output("score"),
    "kl": Output("score"),
    "per_sensor": Output("score", "sensors"),
    "p_value": Output("score"),
    "alarm": Output("score", datatype="BOOL"),
    "latent_mean": Output("encode", "latents"),
    "latent_scale": Output("encode", "latents"),
    "expected_mean": Output("expected", "sensors"),
    "expected_scale": Output("expected", "sensors"),
}
"""Everything that may be asked of a model."""


@dataclass(frozen=True)
class Results:
    """What the graphs said of x; None where one was not needed."""

    score: Scores | None
    encode: Encoding | None
    expected: Moments | None


def needed(asked: InferRequest, model: Model, settings: Settings) -> frozenset[Graph]:
    """The graphs that the wanted outputs are made by.

    Raises:
        InvalidContent: `too-many-rows`, more than may be explained; it names the outputs that may be asked for.
    """
    graphs = frozenset(OUTPUTS[output.name].graph for output in asked.outputs)
    rows, most = len(asked.x), most_explained(model, settings)
    if "expected" in graphs and rows > most:
        others = ", ".join(name for name, output in OUTPUTS.items() if output.graph != "expected")
        raise InvalidContent(
            "too-many-rows",
            f"expected_mean and expected_scale are told of at most {most} rows of this model a request, found {rows}; "
            f"of more rows ask for some of the outputs {others}.",
        )
    return graphs


def run(engine: Engine, x: Array, graphs: frozenset[Graph]) -> Results:
    """What the graphs say of rows x [n, D], NaN where missing."""
    return Results(
        score=engine.score(x) if "score" in graphs else None,
        encode=engine.encode(x) if "encode" in graphs else None,
        expected=engine.expected(x) if "expected" in graphs else None,
    )


def arrays(asked: InferRequest, results: Results, model: Model, settings: Settings) -> Arrays:
    """The outputs that these results make, the wanted ones among them, by name.

    Raises:
        InvalidContent: `rate-out-of-range` or `too-many-patterns`.
    """
    made: Arrays = {}
    if results.score is not None:
        scores = results.score
        made = {"score": scores.score, "kl": scores.kl, "per_sensor": scores.per_sensor}
        if not {"p_value", "alarm"}.isdisjoint(output.name for output in asked.outputs):
            rate = default_rate(model) if asked.false_alarm_rate is None else asked.false_alarm_rate
            verdict = model.calibration.judge(asked.x, scores.score, rate, settings.max_patterns)
            made = {**made, "p_value": verdict.p_value, "alarm": verdict.alarm}
    if results.encode is not None:
        made = {**made, "latent_mean": results.encode.mean, "latent_scale": results.encode.scale}
    if results.expected is not None:
        made = {**made, "expected_mean": results.expected.mean, "expected_scale": results.expected.scale}
    return made
