"""What batching across requests promises, on a real event loop and with a real graph."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.array import Array
from app.backlog import Backlog
from app.engine import Engine, Scores
from app.errors import Unavailable
from app.lane import Lane
from app.metrics import Metrics
from app.session import UNITS, Unit
from tests.conftest import plant_rows


class Said(NamedTuple):
    """What the graphs here say of rows."""

    twice: Array


class Graph:
    """Twice each row; it refuses rows that hold 13, and remembers how many rows it was asked about at a time."""

    def __init__(self, seconds_a_row: float = 0) -> None:
        self.batches: list[int] = []
        self.seconds_a_row = seconds_a_row

    def __call__(self, x: Array) -> Said:
        self.batches.append(len(x))
        time.sleep(len(x) * self.seconds_a_row)
        if (x == 13).any():
            raise ArithmeticError("13")
        return Said(2 * x)


async def ask(lane: Lane[Said], value: float, rows: int = 1, turns: int = 0) -> Array:
    for _ in range(turns):
        await asyncio.sleep(0)
    return (await lane.ask(np.full((rows, 2), value))).twice


def run(question: Callable[[Lane[Said]], Awaitable[object]], graph: Graph, unit: Unit = UNITS["cpu"]) -> None:
    async def main() -> None:
        await question(Lane(graph, unit, Backlog(60), Metrics()))

    asyncio.run(main())


@settings(deadline=None, max_examples=50)
@given(
    asked=st.lists(st.tuples(st.sampled_from([1, 2, 13, 40]), st.integers(1, 70), st.integers(0, 5)), max_size=25),
    left=st.sets(st.integers(0, 24)),
)
def test_every_question_is_answered_once_with_its_own_rows(asked: list[tuple[int, int, int]], left: set[int]) -> None:
    """Whoever else asks, fails or goes away, and in whatever turn of the loop each comes."""

    async def main(lane: Lane[Said]) -> None:
        tasks = [asyncio.create_task(ask(lane, *question)) for question in asked]
        for number in left & set(range(len(tasks))):
            asyncio.get_running_loop().call_soon(tasks[number].cancel)
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        for number, ((value, rows, _), answer) in enumerate(zip(asked, answers, strict=True)):
            if number in left:
                assert isinstance(answer, asyncio.CancelledError)
            elif value == 13:
                assert isinstance(answer, ArithmeticError)
            else:
                assert isinstance(answer, np.ndarray)
                np.testing.assert_array_equal(answer, np.full((rows, 2), 2.0 * value))

    run(main, Graph())


def test_what_is_asked_in_one_turn_goes_together() -> None:
    """Eight questions, one run; and one that comes alone does not wait for company."""
    graph = Graph()

    async def main(lane: Lane[Said]) -> None:
        await asyncio.gather(*[ask(lane, value) for value in range(8)])
        await ask(lane, 1.0)

    run(main, graph)

    assert graph.batches == [8, 1]


def test_who_was_alone_is_answered_without_a_turn() -> None:
    """On the spot; and if others come in the same turn after all, these go together."""
    graph = Graph()

    async def main(lane: Lane[Said]) -> None:
        await ask(lane, 1.0)
        with pytest.raises(StopIteration):
            ask(lane, 2.0).send(None)
        await asyncio.sleep(0)
        await asyncio.gather(*[ask(lane, value) for value in range(4)])
        await asyncio.gather(*[ask(lane, value) for value in range(4)])

    run(main, graph)

    assert graph.batches == [1, 1, 1, 3, 4]


def test_a_question_whose_asker_is_gone_is_left_out() -> None:
    """It is not computed, and those beside it are."""
    graph = Graph()

    async def main(lane: Lane[Said]) -> None:
        kept, gone = asyncio.create_task(ask(lane, 1.0, rows=3)), asyncio.create_task(ask(lane, 1.0, rows=5))
        await asyncio.sleep(0)
        gone.cancel()
        await kept

    run(main, graph)

    assert graph.batches == [3]


def test_rows_that_take_the_time_of_one_go_together() -> None:
    """On a GPU, where only a thousand rows take as long as two runs, however long the first run took."""
    graph = Graph()

    async def main(lane: Lane[Said]) -> None:
        await ask(lane, 1.0)
        await ask(lane, 1.0)
        assert lane.takes(1024, 0.001)
        await asyncio.gather(*[ask(lane, 2.0, rows=16) for _ in range(60)])

    run(main, graph, Unit(rows=1024, seconds=0.004))

    assert graph.batches == [1, 1, 16, 59 * 16]


def test_a_turn_takes_no_more_rows_than_it_has_time_for() -> None:
    """Many questions at once are answered in several turns, between which the loop does other things."""
    graph, between = Graph(seconds_a_row=1e-4), []

    async def main(lane: Lane[Said]) -> None:
        questions = asyncio.gather(*[ask(lane, 1.0, rows=5) for _ in range(100)])
        while not questions.done():
            between.append(len(graph.batches))
            await asyncio.sleep(0)

    run(main, graph)

    assert sum(graph.batches) == 500
    assert max(graph.batches) <= 40
    assert len(set(between)) > 3


def test_a_question_that_waited_far_longer_than_it_was_to_is_given_up() -> None:
    """The graph took longer than was thought: what is behind it is not computed, since nobody may wait for it."""
    graph = Graph()

    def slowly(x: Array) -> Said:
        time.sleep(0.1)
        return graph(x)

    async def main() -> list[Said | BaseException]:
        lane = Lane(slowly, UNITS["cpu"], Backlog(0.01), Metrics())
        return await asyncio.gather(*[lane.ask(np.ones((60, 2))) for _ in range(3)], return_exceptions=True)

    answers = asyncio.run(main())

    assert [isinstance(answer, Unavailable) for answer in answers] == [False, True, True]
    assert graph.batches == [60]


def test_rows_that_take_long_are_not_for_the_loop() -> None:
    """What a row costs is not known yet, so that five may be too many."""

    async def main(lane: Lane[Said]) -> None:
        assert lane.takes(1, 0.001)
        assert lane.takes(5, 0.001)
        assert not lane.takes(6, 0.001)

    run(main, Graph())


def test_a_lane_learns_from_what_was_asked_elsewhere() -> None:
    """Rows that were thought too many for the loop, and asked about in a thread, are seen not to be."""

    async def main(lane: Lane[Said]) -> None:
        assert not lane.takes(100, 0.001)
        for _ in range(3):
            await asyncio.to_thread(lane.now, np.ones((100, 2)))
        assert lane.takes(100, 0.001)

    run(main, Graph())


@pytest.mark.parametrize("cuts", [[1] * 60, [7, 1, 30, 2, 20], [60]])
def test_rows_have_the_same_bits_in_any_company(plant_engine: Engine, cuts: list[int]) -> None:
    """Of the real graph: what a question is answered does not depend on who asks beside it."""
    x = plant_rows(60, seed=11)
    alone = plant_engine.score(x)

    async def main() -> list[Scores]:
        lane = Lane(plant_engine.score, UNITS["cpu"], Backlog(60), Metrics())
        return list(await asyncio.gather(*[lane.ask(part) for part in np.split(x, np.cumsum(cuts)[:-1])]))

    parts = asyncio.run(main())

    for column, whole in enumerate(alone):
        assert np.concatenate([part[column] for part in parts]).tobytes() == whole.tobytes()
