"""What the outputs of an inference take, and the outputs' arrays from what the graphs say."""

from collections.abc import Callable, Set
from functools import partial
from typing import Any, Literal

from msgspec import Struct

from app.array import Array, has_nan
from app.engine import Encoding, Scores
from app.errors import InvalidContent
from app.infer_request import InferRequest
from app.infer_response import Arrays
from app.model import Judged, Model
from app.settings import Settings
from app.verbs import Effort, Graph, default_rate, most_explained, rows_to_rank

Source = Literal["score", "encode", "expected"]
Axis = Literal["sensors", "latents"]


class Output(Struct, frozen=True):
    """What an output is made by, and its second axis, where it has one: [n] or [n, axis]."""

    source: Source
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
RANKED = frozenset({"p_value", "alarm"})


class Ask(Struct, frozen=True):
    """What to ask a model about an inference's rows, and the outputs [n, …] by name that it makes."""

    graph: Graph
    arrays: Callable[[Any], Arrays]
    effort: Effort | None
    """As a task has it."""
    rate: float
    """The false-alarm rate that the output alarm is for."""


def ask(asked: InferRequest, model: Model, settings: Settings) -> Ask:
    """What the wanted outputs take.

    Raises:
        InvalidContent: `too-many-rows`, more than may be explained, which names the outputs that may be asked for;
            `rate-out-of-range` or `too-many-patterns`.
    """
    wanted = {output.name for output in asked.outputs}
    sources = {OUTPUTS[name].source for name in wanted}
    ranked = not wanted.isdisjoint(RANKED)
    _require_few(asked, sources, model, settings)
    rate = default_rate(model) if asked.false_alarm_rate is None else asked.false_alarm_rate
    if ranked:
        model.calibration.require(rate)
    effort = _effort(asked.x, sources, model, settings, ranked)
    if sources == {"encode"}:
        return Ask(model.engine.encode, _latents, effort, rate)
    if sources == {"score"} and ranked:
        return Ask(model.judge, partial(_judged, model, asked.x, rate), effort, rate)
    if sources == {"score"}:
        return Ask(model.engine.score, Scores._asdict, effort, rate)
    return Ask(partial(_everything, model, rate, ranked, sources), lambda arrays: arrays, effort, rate)


def _effort(x: Array, sources: Set[Source], model: Model, settings: Settings, ranked: bool) -> Effort | None:
    holed = has_nan(x)
    ranking = rows_to_rank(x, model, settings) if ranked and holed else 0
    if "expected" in sources:
        return Effort("explained", x.size)
    return Effort("missing", len(x) + ranking) if holed or len(sources) > 1 else None


def _require_few(asked: InferRequest, sources: Set[Source], model: Model, settings: Settings) -> None:
    rows, most = len(asked.x), most_explained(model, settings)
    if "expected" in sources and rows > most:
        others = ", ".join(name for name, output in OUTPUTS.items() if output.source != "expected")
        raise InvalidContent(
            "too-many-rows",
            f"expected_mean and expected_scale are told of at most {most} rows of this model a request, found {rows}; "
            f"of more rows ask for some of the outputs {others}.",
        )


def _everything(model: Model, rate: float, ranked: bool, sources: Set[Source], x: Array) -> Arrays:
    """The outputs of several graphs; p-values only where they are wanted, since a new pattern takes its time."""
    made: Arrays = {}
    if "score" in sources:
        made = {**made, **(_judged(model, x, rate, model.judge(x)) if ranked else model.engine.score(x)._asdict())}
    if "encode" in sources:
        made = {**made, **_latents(model.engine.encode(x))}
    if "expected" in sources:
        expected = model.engine.expected(x)
        made = {**made, "expected_mean": expected.mean, "expected_scale": expected.scale}
    return made


def _judged(model: Model, x: Array, rate: float, judged: Judged) -> Arrays:
    model.calibration.thresholds(x, rate)  # which refuses a rate that a row's pattern of sensors cannot answer
    return {**judged._asdict(), "alarm": judged.p_value <= rate}


def _latents(encoding: Encoding) -> Arrays:
    return {"latent_mean": encoding.mean, "latent_scale": encoding.scale}
