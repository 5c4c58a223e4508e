"""A deadline for everything that is waited for, kept by one timer."""

import asyncio

import pytest

from app.deadline import Deadline


class LateError(Exception):
    """What the deadlines here raise."""


async def waited(deadline: Deadline, seconds: float) -> str:
    with deadline:
        await asyncio.sleep(seconds)
    return "came"


def test_what_comes_too_late_raises_and_what_comes_in_time_does_not() -> None:
    """Each wait by its own begin, however many there are and in whatever order they end."""

    async def later(deadline: Deadline, begin: float, seconds: float) -> str:
        await asyncio.sleep(begin)
        return await waited(deadline, seconds)

    async def main() -> list[object]:
        deadline = Deadline(0.2, LateError)
        waits = [later(deadline, begin, seconds) for begin in (0, 0.1, 0.3) for seconds in (0, 5, 0.02, 5)]
        return list(await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 3))

    found = asyncio.run(main())

    assert [type(answer) for answer in found] == 3 * [str, LateError, str, LateError]


def test_a_task_waits_again_and_again() -> None:
    """The time is for each wait, not for all of them; and the end of one is not remembered in the next."""

    async def main() -> list[str]:
        deadline = Deadline(0.15, LateError)
        with pytest.raises(LateError):
            await waited(deadline, 5)
        return [await waited(deadline, 0.08) for _ in range(4)]

    assert asyncio.run(main()) == 4 * ["came"]


def test_a_cancelled_wait_is_cancelled() -> None:
    """By somebody else, it is not told as late."""

    async def main() -> None:
        wait = asyncio.create_task(waited(Deadline(0.1, LateError), 5))
        await asyncio.sleep(0.02)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait

    asyncio.run(main())


def test_another_error_passes() -> None:
    """What the wait itself raises, before or when its time is over."""

    async def stubborn(deadline: Deadline) -> None:
        with deadline:
            try:
                await asyncio.sleep(5)
            except asyncio.CancelledError:
                raise KeyError from None

    async def main() -> None:
        with pytest.raises(KeyError):
            await stubborn(Deadline(0.05, LateError))
        with pytest.raises(ValueError, match="at once"), Deadline(0.05, LateError):
            raise ValueError("at once")

    asyncio.run(main())
