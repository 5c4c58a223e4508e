"""The four questions: a body for one model in, the answer's body out. Everything here computes; nothing speaks HTTP."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from app import codec
from app.array import Array
from app.calibration import discoveries
from app.codec import Answer, ScoreQuestion
from app.diagnosis import Shape
from app.errors import Fault, InvalidContent
from app.noise import standard_normal
from app.ranking import MAX_RATE
from app.repository import Model
from app.settings import Settings

FALSE_ALARM_RATE = 0.01
EXACT_SEEDS = 53
"""Bits of a seed that we choose: every JSON reader keeps it exactly."""


@dataclass(frozen=True)
class Reply:
    """An answer's body, and how many rows it answers."""

    body: bytes
    rows: int


Verb = Callable[[Model, bytes, Settings], Reply]


def encode(model: Model, body: bytes, settings: Settings) -> Reply:
    """mean and scale of q(z|x): [n][L]."""
    x = codec.read_rows(body, shape(model, settings))
    encoding = model.engine.encode(x)
    return _reply(model, len(x), {"mean": encoding.mean, "scale": encoding.scale})


def reconstruct(model: Model, body: bytes, settings: Settings) -> Reply:
    """mean and scale of what each sensor should have read: [n][D]."""
    x = codec.read_rows(body, shape(model, settings))
    prediction = model.engine.reconstruct(x)
    return _reply(model, len(x), {"mean": prediction.mean, "scale": prediction.scale})


def sample(model: Model, body: bytes, settings: Settings) -> Reply:
    """rows drawn from p(x): [count][D], and the seed that draws them again."""
    question = codec.read_sample(body, shape(model, settings))
    _check("count", question.count, most_samples(model, settings))
    seed = secrets.randbits(EXACT_SEEDS) if question.seed is None else question.seed
    if question.given is None or np.isnan(question.given).all():
        x = model.engine.sample(standard_normal(seed, question.count, model.manifest.noise_size))
    else:
        x = model.engine.complete(question.given, question.count, seed)
    return _reply(model, question.count, {"rows": x, "seed": seed})


def score(model: Model, body: bytes, settings: Settings) -> Reply:
    """The negative ELBO of each row, its p-value and its alarm: [n]; with `explain` where it comes from: [n][D]."""
    question = codec.read_score(body, shape(model, settings))
    _check_options(question, model, settings)
    rate = default_rate(model) if question.false_alarm_rate is None else question.false_alarm_rate
    scores = model.engine.score(question.x)
    verdict = model.calibration.judge(question.x, scores.score, rate, settings.max_patterns)
    answer: dict[str, npt.NDArray[np.generic] | float] = {
        "score": scores.score,
        "p_value": verdict.p_value,
        "alarm": verdict.alarm,
        "threshold": verdict.threshold,
        "n_observed": verdict.n_observed,
        "false_alarm_rate": rate,
    }
    if question.explain:
        expected = model.engine.expected(question.x)
        answer |= {"kl": scores.kl, "per_sensor": scores.per_sensor}
        answer |= {"expected_mean": expected.mean, "expected_scale": expected.scale}
        answer |= {"out_of_range": _out_of_range(question.x, model)}
        usual = [sensor.usual_nats for sensor in model.manifest.sensors]
        if None not in usual:
            answer |= {"excess": np.where(np.isnan(question.x), 0.0, scores.per_sensor - np.array(usual, dtype=float))}
    if question.bound is not None:
        bound = model.engine.bound(question.x, question.bound.draws, question.bound.seed)
        answer |= {"bound": bound.value, "bound_error": bound.error}
    if question.fdr is not None:
        answer |= {"discovery": discoveries(verdict.p_value, question.fdr)}
    return _reply(model, len(question.x), answer)


def shape(model: Model, settings: Settings) -> Shape:
    """What rows a request to this model may hold."""
    return Shape(model.manifest.sensor_names, settings.max_rows)


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
        _check("rows", len(question.x), most_explained(model, settings))
    if question.bound is not None:
        _check("rows", len(question.x), most_bounded(question.bound.draws, settings))


def _check(field: str, found: int, most: int) -> None:
    if found > most:
        detail = f"expected at most {most} for this question to this model"
        raise InvalidContent("too-many-rows", f"/{field}: {detail}.", (Fault(f"/{field}", detail),))


def _out_of_range(x: Array, model: Model) -> npt.NDArray[np.bool_]:
    """Whether a value is outside what training saw, [n, D]; a missing one is not."""
    sensors = model.manifest.sensors
    return np.asarray((x < [sensor.min for sensor in sensors]) | (x > [sensor.max for sensor in sensors]))


def _reply(model: Model, rows: int, arrays: Answer) -> Reply:
    return Reply(codec.write({"model": model.manifest.name, "version": model.manifest.version, **arrays}), rows)
