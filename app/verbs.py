"""The four questions: a body for one model in, a task out whose answer is a body. Nothing here speaks HTTP."""

import secrets
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from app import codec
from app.array import Array
from app.calibration import discoveries
from app.codec import ScoreQuestion
from app.engine import Encoding
from app.errors import Fault, InvalidContent
from app.health import Scored
from app.importance import Moments
from app.model import Drawn, Judged, Model
from app.noise import standard_normal
from app.ranking import MAX_RATE
from app.session import Unit
from app.settings import Settings
from app.shape import Shape

FALSE_ALARM_RATE = 0.01
EXACT_SEEDS = 53
"""Bits of a seed that we choose: every JSON reader keeps it exactly."""
FEW_SAMPLES = 128
"""The noise of more is not drawn on the event loop."""


class Reply(Struct, frozen=True):
    """An answer's body, how many rows it answers, and what was said of them where they were scored."""

    body: bytes
    rows: int
    scored: Scored | None = None


Result = TypeVar("Result")
Graph = Callable[[Array], Any]
"""Rows [n, …] → a named tuple of arrays whose first axis is the rows."""


Kind = Literal["explained", "bound", "missing", "drawn"]
"""Of work that may take long; its units are values that are explained, draws, rows scored and rows drawn."""


class Effort(NamedTuple):
    """So many units of a kind of work, which has a pace of its own."""

    kind: Kind
    units: int


class Task(Struct, Generic[Result], frozen=True):
    """One question, understood: a graph is to be asked about rows, and an answer to be made of what it says."""

    graph: Graph
    x: Array
    """[n, …], what the graph is asked about."""
    finish: Callable[[Any], Result]
    """What the graph says → the answer."""
    effort: Effort | None
    """What it takes, where it may take long; else nothing but the graph does, and each unit of that as much as any."""
    unit: Unit

    def answer(self) -> Result:
        """The answer."""
        return self.finish(self.graph(self.x))


Verb = Callable[[Model, Settings, bytes], Task[Reply]]


def encode(model: Model, settings: Settings, body: bytes) -> Task[Reply]:
    """mean and scale of q(z|x): [n][L]."""
    rows = codec.read_rows(body, shape(model, settings))
    finish, effort = partial(_written, model), None if rows.complete else Effort("missing", len(rows.x))
    return Task(model.engine.encode, rows.x, finish, effort, model.engine.unit)


def reconstruct(model: Model, settings: Settings, body: bytes) -> Task[Reply]:
    """mean and scale of what each sensor should have read: [n][D]."""
    rows = codec.read_rows(body, shape(model, settings))
    finish, effort = partial(_written, model), None if rows.complete else Effort("missing", len(rows.x))
    return Task(model.engine.reconstruct, rows.x, finish, effort, model.engine.unit)


def sample(model: Model, settings: Settings, body: bytes) -> Task[Reply]:
    """rows drawn from p(x): [count][D], and the seed that draws them again."""
    question = codec.read_sample(body, shape(model, settings))
    _check("count", question.count, most_samples(model, settings))
    seed = secrets.randbits(EXACT_SEEDS) if question.seed is None else question.seed
    finish = partial(_written, model, seed=seed)
    if question.given is None and question.count <= FEW_SAMPLES:
        noise = standard_normal(seed, question.count, model.manifest.noise_size)
        return Task(model.draw, noise, finish, None, model.engine.unit)
    given = np.full((1, len(model.manifest.sensors)), np.nan) if question.given is None else question.given
    effort = Effort("drawn", question.count)
    return Task(partial(_drawn, model, question.count, seed), given, finish, effort, model.engine.unit)


def score(model: Model, settings: Settings, body: bytes) -> Task[Reply]:
    """The negative ELBO of each row, its p-value and its alarm: [n]; with `explain` where it comes from: [n][D]."""
    question = codec.read_score(body, shape(model, settings))
    _check_options(question, model, settings)
    rate = default_rate(model) if question.false_alarm_rate is None else question.false_alarm_rate
    threshold = model.calibration.threshold(rate)
    x = question.rows.x
    effort = None if question.rows.complete else Effort("missing", len(x) + rows_to_rank(x, model, settings))
    if question.bound is not None:
        effort = Effort("bound", len(x) * question.bound.draws)
    if question.explain:
        effort = Effort("explained", x.size)
    return Task(model.judge, x, partial(_scored, model, question, rate, threshold), effort, model.engine.unit)


def shape(model: Model, settings: Settings) -> Shape:
    """What rows a request to this model may hold."""
    return _shape(model.manifest.sensor_names, settings.max_rows)


@lru_cache(maxsize=64)
def _shape(sensors: tuple[str, ...], max_rows: int) -> Shape:
    return Shape(sensors, max_rows)


def most_samples(model: Model, settings: Settings) -> int:
    """How many rows of this model one `/sample` may ask for."""
    return max(1, min(settings.max_rows, settings.max_sample_values // len(model.manifest.sensors)))


def most_explained(model: Model, settings: Settings) -> int:
    """How many rows of this model one `/score` may ask to explain."""
    return max(1, min(settings.max_rows, settings.max_explained_values // len(model.manifest.sensors)))


def most_bounded(draws: int, settings: Settings) -> int:
    """How many rows one `/score` may ask a bound of so many draws for."""
    return max(1, min(settings.max_rows, settings.max_bound_draws // draws))


def least_rate(model: Model) -> float:
    """The smallest false-alarm rate that the held-out rows can vouch for."""
    return model.manifest.calibration.least_rate


def default_rate(model: Model) -> float:
    """The false-alarm rate where a request names none: never one that would be refused."""
    return max(FALSE_ALARM_RATE, least_rate(model))


def _check_options(question: ScoreQuestion, model: Model, settings: Settings) -> None:
    if question.fdr is not None and not 0 < question.fdr <= MAX_RATE:
        detail = f"expected a rate above 0 and at most {MAX_RATE}"
        raise InvalidContent("rate-out-of-range", f"/fdr: {detail}.", (Fault("/fdr", detail),))
    if question.explain:
        _check("rows", len(question.rows.x), most_explained(model, settings))
    if question.bound is not None:
        _check("rows", len(question.rows.x), most_bounded(question.bound.draws, settings))


def rows_to_rank(x: Array, model: Model, settings: Settings) -> int:
    """How many held-out rows are to be scored for new patterns of missing sensors in rows x [n, D].

    Raises:
        InvalidContent: `too-many-patterns`, which would take too long.
    """
    patterns, rows = model.calibration.unranked(x)
    if patterns > settings.max_patterns:
        most = f"expected at most {settings.max_patterns} a request"
        detail = f"found {patterns} patterns of missing sensors, {most}"
        raise InvalidContent("too-many-patterns", f"/rows: {detail}.", (Fault("/rows", detail),))
    return rows


def _check(field: str, found: int, most: int) -> None:
    if found > most:
        detail = f"expected at most {most} for this question to this model"
        raise InvalidContent("too-many-rows", f"/{field}: {detail}.", (Fault(f"/{field}", detail),))


def _out_of_range(x: Array, model: Model) -> npt.NDArray[np.bool_]:
    """Whether a value is outside what training saw, [n, D]; a missing one is not."""
    sensors = model.manifest.sensors
    return np.asarray((x < [sensor.min for sensor in sensors]) | (x > [sensor.max for sensor in sensors]))


def _drawn(model: Model, count: int, seed: int, given: Array) -> Drawn:
    """`count` rows like given [1, D], whose missing sensors are drawn given the others."""
    if np.isnan(given).all():
        return model.draw(standard_normal(seed, count, model.manifest.noise_size))
    return Drawn(model.engine.complete(given, count, seed))


def _scored(model: Model, question: ScoreQuestion, rate: float, threshold: float, judged: Judged) -> Reply:
    x, complete = question.rows.x, question.rows.complete
    answer: dict[str, npt.NDArray[np.generic] | list[float] | str | float] = {
        "model": model.manifest.name,
        "version": model.manifest.version,
        "score": judged.score,
        "p_value": judged.p_value,
        "alarm": judged.p_value <= rate,
        "threshold": [threshold] * len(x) if complete else model.calibration.thresholds(x, rate),
        "n_observed": [x.shape[1]] * len(x) if complete else np.isfinite(x).sum(axis=1),
        "false_alarm_rate": rate,
    }
    if question.explain:
        answer |= _explained(model, x, judged)
    if question.bound is not None:
        bound = model.engine.bound(x, question.bound.draws, question.bound.seed)
        answer |= {"bound": bound.value, "bound_error": bound.error}
    if question.fdr is not None:
        answer |= {"discovery": discoveries(judged.p_value, question.fdr)}
    return Reply(codec.write(answer), len(x), Scored(x, judged.p_value, rate))


def _explained(model: Model, x: Array, judged: Judged) -> dict[str, npt.NDArray[np.generic]]:
    expected = model.engine.expected(x)
    answer: dict[str, npt.NDArray[np.generic]] = {
        "kl": judged.kl,
        "per_sensor": judged.per_sensor,
        "expected_mean": expected.mean,
        "expected_scale": expected.scale,
        "out_of_range": _out_of_range(x, model),
    }
    usual = [sensor.usual_nats for sensor in model.manifest.sensors]
    if None not in usual:
        answer |= {"excess": np.where(np.isnan(x), 0.0, judged.per_sensor - np.array(usual, dtype=float))}
    return answer


def _written(model: Model, said: Encoding | Moments | Drawn, **more: int) -> Reply:
    about: dict[str, Any] = {"model": model.manifest.name, "version": model.manifest.version}
    return Reply(codec.write({**about, **said._asdict(), **more}), len(said[0]))
