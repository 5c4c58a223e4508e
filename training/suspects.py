"""Anomalies hidden in the table: every row scored by a small copy of the model that was fitted to the other half.

The exported model was fitted to most rows, so its own score of them is no evidence. Here the table is cut in two halves
at random, and a copy that has seen one half only, its scaling included, scores the other.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from app.array import Array, Index
from app.engine import Engine
from app.report import Suspect, Suspects, Threshold
from training.build import MANY, build
from training.calibrate import HeldOut
from training.config import Config
from training.data import Readings, Split, describe
from training.fit import descend, start
from training.graphs import Graphs
from training.questions import Score
from training.standardise import standardise
from training.train import density_stage

MOST = 20
LARGEST_SHARE = 0.05
"""Of the table at most; in a small one fewer rows than MOST are the odd ones out."""
STEPS, WIDTH, LATENTS, COMPONENTS = 150, 64, 16, 32
"""The copy is at most this large and fitted for at most this long: seconds, where the model took minutes…"""
SHARE_OF_STEPS = 0.1
"""…and for at most this share of the steps that the model's density may take."""
STOP_BY = 256
"""Rows of its own half that the copy is stopped by."""
AT_ONCE = 256
ENDLESS = 1e300
"""Nats of a row so far from the other half that its score overflows."""
PARTS: tuple[Literal["train", "validation", "calibration"], ...] = ("train", "validation", "calibration")


def suspects(readings: Readings, parts: Split, config: Config, engine: Engine, held_out: HeldOut) -> Suspects | None:
    """The oddest rows of the table, or None where too little moves in a half of it to fit a model to.

    Args:
        readings: the table.
        parts: what the exported model used each row for.
        config: of the exported model; its copies are smaller, and alike in all else.
        engine: the exported model.
        held_out: its scores of the calibration rows, in their order.
    """
    halves = _halves(len(readings.x), config.seed)
    x = _seen_in_both(readings.x, halves)
    if any((np.nanmax(x[half], axis=0) == np.nanmin(x[half], axis=0)).all() for half in halves):
        return None
    excess = _leave_out(x, halves, config)
    count = min(MOST, int(LARGEST_SHARE * len(x)))
    chosen = np.argsort(-excess, kind="stable")[:count]
    kept = ~np.isin(parts.calibration, chosen)
    return Suspects(
        rows=tuple(_tell(chosen, excess[chosen], readings, parts, engine)),
        threshold=_threshold(held_out),
        threshold_without=_threshold(replace(held_out, scores=held_out.scores[kept])),
    )


def _halves(n: int, seed: int) -> tuple[Index, Index]:
    order = np.random.default_rng([seed, n]).permutation(n)  # not the permutation of the split
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def _seen_in_both(x: Array, halves: tuple[Index, Index]) -> Array:
    """The columns of x that have a value in each half."""
    here, there = (~np.isnan(x[half]).all(axis=0) for half in halves)
    return x[:, here & there]


def _leave_out(x: Array, halves: tuple[Index, Index], config: Config) -> Array:
    """Nats [n] by which each row of x is above the median of its half, scored by the copy fitted to the other half.

    Nats of the two copies can be compared so, even where a sensor moves in one half only.
    """
    excess = np.empty(len(x))
    for fitted, left_out in (halves, halves[::-1]):
        score = _score(_fit(x[fitted], config), x[left_out])
        excess[left_out] = np.nan_to_num(score - np.median(score), nan=ENDLESS, posinf=ENDLESS)
    return excess


def _fit(x: Array, config: Config) -> Score:
    """A small copy of the model, fitted to the density of rows x [n, D]."""
    sensors = describe(x, [str(d) for d in range(x.shape[1])], [None] * x.shape[1])
    rows = standardise(x, sensors)
    moving = rows.x.shape[1]
    most = COMPONENTS if moving <= MANY else 0
    small = replace(
        config,
        width=WIDTH if config.width is None else min(WIDTH, config.width),
        latent_size=min(LATENTS, config.latent_size or LATENTS, max(1, moving - 1)),
        components=most if config.components is None else min(COMPONENTS, config.components),
    )
    density = density_stage(small, moving, None)
    density = replace(density, steps=min(STEPS, max(1, int(SHARE_OF_STEPS * density.steps))))
    some = rows.take(torch.linspace(0, len(rows) - 1, min(STOP_BY, len(rows))).long())
    vae = descend(start(build(small, sensors, rows), small.seed), density, rows, some, lambda descent: None)
    return Score(Graphs(vae, sensors)).eval()


@torch.no_grad()
def _score(model: Score, x: Array) -> Array:
    return torch.cat([model(rows)[0] for rows in torch.tensor(x).split(AT_ONCE)]).numpy()


def _threshold(held_out: HeldOut) -> Threshold:
    account = held_out.account(interval=None)
    return Threshold(rows=account.rows, false_alarm_rate=account.false_alarm_rate, nats=account.threshold)


def _tell(chosen: Index, excess: Array, readings: Readings, parts: Split, engine: Engine) -> Iterator[Suspect]:
    used = {int(row): part for part in PARTS for row in getattr(parts, part)}
    x = readings.x[chosen]
    scores = engine.score(x).score
    given_others = _given_others(engine, x, scores)
    for index, above, score, nats in zip(chosen.tolist(), excess.tolist(), scores.tolist(), given_others, strict=True):
        most = int(np.nanargmax(nats))
        yield Suspect(
            row=int(readings.row[index]),
            line=None if readings.line is None else int(readings.line[index]),
            part=used[index],
            excess=above,
            score=score,
            sensor=readings.names[most],
            nats=float(nats[most]),
        )


def _given_others(engine: Engine, x: Array, scores: Array) -> Array:
    """What the score falls by without each sensor, [n, D] in nats of standardised sensors.

    NaN where it is missing, −∞ where it never moved and rests.
    """
    sensors = engine.manifest.sensors
    masked = np.where(np.eye(len(sensors), dtype=bool), np.nan, x[:, None, :])
    without = engine.score(masked.reshape(-1, len(sensors))).score.reshape(x.shape)
    units = np.array([0.0 if sensor.constant else np.log(sensor.scale) for sensor in sensors])
    nats = scores[:, None] - without - units
    at_rest = np.array([sensor.constant for sensor in sensors]) & (nats == 0)
    return np.where(np.isnan(x), np.nan, np.where(at_rest, -np.inf, nats))
