"""One timer for all who wait equally long."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from app.timer import Timer


def run(main: Callable[[Timer], Awaitable[None]]) -> None:
    async def started() -> None:
        await main(Timer(0.1))

    asyncio.run(started())


class Waiter:
    """Remembers how often it was called."""

    def __init__(self) -> None:
        self.called = 0

    def late(self) -> None:
        self.called += 1


def test_who_was_started_is_called_once_and_who_was_stopped_is_not() -> None:
    """A method is known again by its object, although Python makes it anew each time that it is named."""

    async def main(timer: Timer) -> None:
        one, other = Waiter(), Waiter()
        timer.start(one.late)
        timer.start(other.late)

        assert timer.stop(other.late)
        assert not timer.stop(other.late)
        await asyncio.sleep(0.3)
        assert (one.called, other.called) == (1, 0)
        assert not timer.stop(one.late)

    run(main)


def test_who_is_started_again_waits_from_then_on() -> None:
    """And those behind it do not wait longer for that."""

    async def main(timer: Timer) -> None:
        again, behind = Waiter(), Waiter()
        timer.start(again.late)
        timer.start(behind.late)
        await asyncio.sleep(0.07)
        timer.start(again.late)
        await asyncio.sleep(0.06)
        assert (again.called, behind.called) == (0, 1)
        await asyncio.sleep(0.1)
        assert again.called == 1

    run(main)


def test_many_whose_time_is_over_at_once_leave_others_their_turns() -> None:
    """A hundred late ones take many turns of the loop, and all are called."""
    called_by_turn: list[int] = []

    async def main(timer: Timer) -> None:
        waiters = [Waiter() for _ in range(100)]
        for waiter in waiters:
            timer.start(waiter.late)
        while (called := sum(waiter.called for waiter in waiters)) < 100:
            called_by_turn.append(called)
            await asyncio.sleep(0)

    run(main)

    assert max(after - before for before, after in itertools.pairwise(called_by_turn)) == 1


def test_who_starts_itself_when_it_is_called_is_called_again() -> None:
    """Others in between are on time."""

    async def main(timer: Timer) -> None:
        other, calls = Waiter(), 0

        def again() -> None:
            nonlocal calls
            calls += 1
            if calls < 3:
                timer.start(again)

        timer.start(again)
        await asyncio.sleep(0.05)
        timer.start(other.late)
        await asyncio.sleep(0.1)
        assert (calls, other.called) == (1, 1)
        await asyncio.sleep(0.4)
        assert calls == 3

    run(main)
