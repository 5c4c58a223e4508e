"""A served model with rows to ask about and the scores that every server must give them."""

import time
from dataclasses import dataclass

import numpy as np

from app.array import Array
from app.bundle import Bundle
from app.engine import Engine
from benchmarks.serving.peers import Question
from benchmarks.serving.server import NotServed, Server
from benchmarks.serving.wire import Post

DIGITS = 6
"""Of a reading, as a sensor would give it."""
PATIENCE = 10
"""Seconds that a server may take to have room again."""


@dataclass(frozen=True)
class Subject:
    """A bundle, its rows by their number, and their scores by onnxruntime itself."""

    bundle: Bundle
    rows: dict[int, Array]
    scores: dict[int, Array]

    @classmethod
    def of(cls, opened: Bundle, counts: tuple[int, ...]) -> "Subject":
        """Rows that the model itself thinks healthy, drawn from its prior."""
        engine = Engine(opened)
        rows = {count: _readings(engine, count) for count in counts}
        return cls(opened, rows, {count: engine.score(x).score for count, x in rows.items()})

    def post(self, question: Question, count: int) -> Post:
        """The request for so many rows."""
        return question.wire.put(question.path, self.rows[count])

    def check(self, server: Server, question: Question, count: int) -> None:
        """Ask once.

        Raises:
            NotServed: the answer is not 200, or its scores are not those of the graph.
        """
        try:
            answer = server.ask(self.post(question, count))
            ends = time.monotonic() + PATIENCE
            while answer.status == 503 and time.monotonic() < ends:  # what it was asked before still waits
                time.sleep(0.1)
                answer = server.ask(self.post(question, count))
        except OSError as error:
            raise NotServed(f"no answer to {count} rows: {error}") from error
        if answer.status != 200:
            raise NotServed(f"answers {answer.status} to {count} rows at {question.path}")
        if question.wire.scores is None:
            return
        try:
            off = np.abs(question.wire.scores(answer) - self.scores[count]) / np.abs(self.scores[count])
        except (KeyError, ValueError, TypeError) as error:
            raise NotServed(f"what it answers to {count} rows holds no scores: {error!r}") from error
        if off.shape != (count,) or not off.max() <= 1e-6:
            raise NotServed(f"its scores of {count} rows are not the graph's")


def _readings(engine: Engine, count: int) -> Array:
    noise = np.random.default_rng(count).standard_normal((count, engine.manifest.noise_size))
    return np.array([[float(f"{value:.{DIGITS}g}") for value in row] for row in engine.sample(noise)])
