"""How much may wait for the threads."""

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.backlog import Backlog
from app.errors import Unavailable
from app.pool import LEARNT, NICE, NICEST, Pace, Pool, computing

MOST_SECONDS = 1.0


def run(question: Callable[[Pool], Awaitable[None]], threads: int = 1) -> None:
    async def main() -> None:
        with ThreadPoolExecutor(threads) as executor:
            await question(Pool(executor, Backlog(MOST_SECONDS, threads)))

    asyncio.run(main())


def of(seconds: float) -> Pace:
    """A pace at which one unit takes so long."""
    return Pace(seconds)


async def begin(pool: Pool, work: Callable[[], object], seconds: float) -> asyncio.Task[object]:
    """Work that is in the pool when this returns."""
    task = asyncio.create_task(pool.run(work, 1, of(seconds)))
    await asyncio.sleep(0)
    return task


def test_work_is_refused_at_once_while_more_waits_than_may() -> None:
    """And taken again when that is done; what was taken is answered."""
    end = threading.Event()

    async def question(pool: Pool) -> None:
        taken = [await begin(pool, end.wait, 0.6) for _ in range(2)]
        with pytest.raises(Unavailable, match="try again") as refused:
            await pool.run(end.wait, 1, of(0.6))
        assert refused.value.code == "overloaded"
        end.set()
        assert await asyncio.gather(*taken) == [True, True]
        assert await pool.run(lambda: 7, 1, of(0.6)) == 7

    run(question)


@pytest.mark.parametrize("threads", [1, 3])
def test_as_much_as_each_thread_is_at_and_the_next_is_always_taken(threads: int) -> None:
    """However long it takes: somebody who asks for it, and nobody else, is not refused."""
    end = threading.Event()

    async def question(pool: Pool) -> None:
        taken = [await begin(pool, end.wait, 1000) for _ in range(2 * threads)]
        with pytest.raises(Unavailable):
            await pool.run(end.wait, 1, of(0))
        end.set()
        assert await asyncio.gather(*taken) == [True] * 2 * threads

    run(question, threads)


def test_work_whose_asker_is_gone_is_not_begun_and_counts_no_more() -> None:
    """It makes room for others."""
    end, begun = threading.Event(), []

    async def question(pool: Pool) -> None:
        first = await begin(pool, end.wait, 0.6)
        gone = await begin(pool, lambda: begun.append("gone"), 1000)
        gone.cancel()
        await asyncio.sleep(0)
        last = await begin(pool, lambda: begun.append("last"), 0.6)
        end.set()
        await asyncio.gather(first, last)

    run(question)

    assert begun == ["last"]


def test_work_that_waited_far_longer_than_it_was_to_is_given_up() -> None:
    """What is before it takes longer than was thought: who waits hears of it while that is still under way."""
    end = threading.Event()

    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            pool = Pool(executor, Backlog(0.01))
            first = await begin(pool, end.wait, 0)
            late = await begin(pool, lambda: "computed", 0)
            with pytest.raises(Unavailable):
                await asyncio.wait_for(late, 20)
            assert not first.done()
            end.set()
            assert await first

    asyncio.run(main())


def test_an_error_of_the_work_is_its_askers() -> None:
    """And makes room as an answer does."""

    async def question(pool: Pool) -> None:
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 / 0, 1, of(1000))

    run(question)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 2), st.sampled_from(["done", "gone", "failed"])), max_size=30))
def test_nothing_is_left_of_work_that_is_over(pieces: list[tuple[float, str]]) -> None:
    """Whatever became of it: as long as before is what the next one may wait."""

    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            backlog = Backlog(MOST_SECONDS)
            pool = Pool(executor, backlog)
            before = backlog.patience
            for seconds, end in pieces:
                task = await begin(pool, (lambda: 1 / 0) if end == "failed" else (lambda: 1), seconds)
                if end == "gone":
                    task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    assert isinstance(task.exception(), ZeroDivisionError | None)
            await pool.run(lambda: 1, 1, of(0))
            await asyncio.sleep(0)
            assert backlog.patience == before

    asyncio.run(main())


def test_a_pace_follows_what_is_seen() -> None:
    """A mean at first, of the guess and of what was seen, and then one that forgets: from 1 s a unit toward 3 s."""
    pace, thought = Pace(1.0), []
    for _ in range(40):
        pace.learn(10, 30.0)
        thought.append(pace.of(5) / 5)

    assert thought[:3] == pytest.approx([2, 7 / 3, 2.5])
    rest = [3 - each for each in thought[10:]]
    assert [after / before for before, after in itertools.pairwise(rest)] == pytest.approx([1 - LEARNT] * 29)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
def test_computing_comes_after_the_event_loop() -> None:
    """The threads are nicer than the one that made them, which stays as it was."""
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with computing(1) as executor:
        theirs = executor.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result()

    assert theirs == min(NICEST, mine + NICE)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == mine
