"""What waits for a thread goes through the graph together, and each has its own answer."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.array import Array
from app.backlog import Backlog
from app.engine import Engine, Scores
from app.errors import Unavailable
from app.gathering import Gathering
from app.metrics import Metrics
from app.pool import Pool
from app.session import Unit
from tests.conftest import plant_rows

UNIT = Unit(rows=1, seconds=1e-4)


class Said(NamedTuple):
    """What the graphs here say of rows."""

    twice: Array


class Graph:
    """Twice each row, when it may; it refuses rows that hold 13, and remembers how many rows each run had."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.begun = threading.Semaphore(0)
        self.may = threading.Event()

    def __call__(self, x: Array) -> Said:
        self.batches.append(len(x))
        self.begun.release()
        assert self.may.wait(20)
        if (x == 13).any():
            raise ArithmeticError("13")
        return Said(2 * x)


def run(
    question: Callable[[Gathering[Said]], Awaitable[None]],
    graph: Graph,
    threads: int = 1,
    most: float = 60,
    unit: Unit = UNIT,
) -> None:
    async def main() -> None:
        with ThreadPoolExecutor(threads) as executor:
            await question(Gathering(graph, Pool(executor, Backlog(most, threads)), unit, Metrics()))

    asyncio.run(main())


async def begin(gathering: Gathering[Said], value: float, rows: int) -> asyncio.Task[Array]:
    """A question that waits when this returns."""
    task = asyncio.create_task(gathering.ask(np.full((rows, 2), value), lambda said: said.twice))
    await asyncio.sleep(0)
    return task


@settings(deadline=None, max_examples=50)
@given(
    asked=st.lists(st.tuples(st.sampled_from([1, 2, 13, 40]), st.integers(1, 200)), max_size=25),
    left=st.sets(st.integers(0, 24)),
    threads=st.integers(1, 3),
)
def test_every_question_is_answered_once_with_its_own_rows(
    asked: list[tuple[int, int]], left: set[int], threads: int
) -> None:
    """Whoever else asks, fails or goes away, and however many threads there are."""
    graph = Graph()

    async def question(gathering: Gathering[Said]) -> None:
        tasks = [await begin(gathering, value, rows) for value, rows in asked]
        for number in left & set(range(len(tasks))):
            tasks[number].cancel()
        graph.may.set()
        answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
        for number, ((value, rows), answer) in enumerate(zip(asked, answers, strict=True)):
            if number in left:
                assert isinstance(answer, asyncio.CancelledError)
            elif value == 13:
                assert isinstance(answer, ArithmeticError)
            else:
                assert isinstance(answer, np.ndarray)
                np.testing.assert_array_equal(answer, np.full((rows, 2), 2.0 * value))

    run(question, graph, threads)


@pytest.mark.parametrize(
    ("seconds", "batches"),
    [pytest.param(1e-9, [20_000, 468], id="quick"), pytest.param(10.0, [20_000, 40, 40, 80, 300, 8], id="slow")],
)
def test_what_waits_while_the_threads_are_at_work_goes_together(seconds: float, batches: list[int]) -> None:
    """As much as takes no longer than it may, in the order that it came in; who comes to a free thread goes alone."""
    graph = Graph()

    async def question(gathering: Gathering[Said]) -> None:
        tasks = [await begin(gathering, 1.0, batches[0])]
        assert await asyncio.to_thread(graph.begun.acquire, timeout=20)
        tasks += [await begin(gathering, 2.0, rows) for rows in (40, 40, 80, 300, 8)]
        graph.may.set()
        await asyncio.gather(*tasks)

    run(question, graph, most=1e9, unit=Unit(rows=1, seconds=seconds))

    assert graph.batches == batches


def test_threads_share_what_waits() -> None:
    """One does not take all of it while others have nothing to do."""
    graph = Graph()

    async def question(gathering: Gathering[Said]) -> None:
        tasks = [await begin(gathering, 1.0, rows=16) for _ in range(2)]
        for _ in tasks:
            assert await asyncio.to_thread(graph.begun.acquire, timeout=20)
        tasks += [await begin(gathering, 2.0, rows=16) for _ in range(4)]
        graph.may.set()
        await asyncio.gather(*tasks)

    run(question, graph, threads=2)

    assert sorted(graph.batches[:3]) == [16, 16, 32]


def test_a_question_whose_asker_is_gone_is_left_out() -> None:
    """It is not computed, and those beside it are."""
    graph = Graph()

    async def question(gathering: Gathering[Said]) -> None:
        first = await begin(gathering, 1.0, rows=1)
        assert await asyncio.to_thread(graph.begun.acquire, timeout=20)
        gone, kept = await begin(gathering, 1.0, rows=5), await begin(gathering, 1.0, rows=3)
        gone.cancel()
        await asyncio.sleep(0)
        graph.may.set()
        await asyncio.gather(first, kept)

    run(question, graph)

    assert graph.batches == [1, 3]


@pytest.mark.parametrize(
    ("graph", "rows", "fault"),
    [
        pytest.param(lambda x: list(x), 2, AttributeError, id="an answer that cannot be parted"),
        pytest.param(lambda x: Said(x), 0, ZeroDivisionError, id="no rows to tell a pace by"),
    ],
)
def test_nobody_waits_for_ever_whatever_goes_wrong(
    graph: Callable[[Array], Said], rows: int, fault: type[Exception]
) -> None:
    """A fault between the graph and the results is everybody's error, and nothing of it is counted any more."""

    async def main() -> int:
        with ThreadPoolExecutor(1) as executor:
            backlog = Backlog(60)
            gathering = Gathering(graph, Pool(executor, backlog), UNIT, Metrics())
            tasks = [await begin(gathering, 1.0, rows) for _ in range(3)]
            ended = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
            assert [type(answer) for answer in ended] == 3 * [fault]
            return backlog.pieces

    assert asyncio.run(main()) == 0


def test_a_question_that_waited_far_longer_than_it_was_to_is_given_up() -> None:
    """The graph takes longer than was thought: who is behind it hears of it now, and is not computed."""
    graph = Graph()

    async def question(gathering: Gathering[Said]) -> None:
        first = await begin(gathering, 1.0, rows=1)
        assert await asyncio.to_thread(graph.begun.acquire, timeout=20)
        late = await begin(gathering, 1.0, rows=1)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(late, 20)
        assert not first.done()
        graph.may.set()
        assert len(await first) == 1

    run(question, graph, most=0.01)

    assert graph.batches == [1]


def test_rows_have_the_bits_that_they_have_alone(plant_engine: Engine) -> None:
    """Of a real graph, in whatever company a thread takes them."""
    x = plant_rows(160, 5)
    alone = plant_engine.score(x)

    async def main() -> list[Scores]:
        with ThreadPoolExecutor(2) as executor:
            gathering = Gathering(plant_engine.score, Pool(executor, Backlog(60, 2)), UNIT, Metrics())
            parts = [gathering.ask(x[start : start + 10], lambda said: said) for start in range(0, 160, 10)]
            return list(await asyncio.gather(*parts))

    for column, whole in zip(zip(*asyncio.run(main()), strict=True), alone, strict=True):
        np.testing.assert_array_equal(np.concatenate(column), whole)
