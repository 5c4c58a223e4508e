"""Questions that go through one graph in one run: each has the answer, to the bit, that it would have had alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np

from app.array import Array


class Said(Protocol):
    """What a graph says of rows: a named tuple of arrays whose first axis is the rows."""

    def __iter__(self) -> Iterator[Array]: ...

    @classmethod
    def _make(cls, columns: Iterable[Array], /) -> Self: ...


Answer = TypeVar("Answer", bound=Said)


def asked_together(graph: Callable[[Array], Answer], questions: Sequence[Array]) -> list[Answer | Exception]:
    """What the graph says of the rows of each question, or the error that its own rows make: then each is run alone."""
    if len(questions) == 1:
        try:
            return [graph(questions[0])]
        except Exception as error:
            return [error]
    try:
        return [*_parted(graph(np.concatenate(questions)), questions)]
    except Exception:
        return [answer for question in questions for answer in asked_together(graph, [question])]


def _parted(whole: Answer, questions: Sequence[Array]) -> Iterator[Answer]:
    start = 0
    for question in questions:
        stop = start + len(question)
        yield whole._make([column[start:stop] for column in whole])
        start = stop
