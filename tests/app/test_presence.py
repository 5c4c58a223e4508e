"""Work for a client that may go away meanwhile."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from app.presence import DISCONNECT, Ahead, while_present


class Client:
    """A client whose body has been read: nothing comes from it until it is gone."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        """What it does next."""
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Work:
    """Work that ends when it is told to, and remembers that it was given up."""

    def __init__(self) -> None:
        self.end = asyncio.Event()
        self.given_up = False

    async def run(self) -> int:
        """7, at the end."""
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        return 7


async def begin(client: Client, work: Work) -> asyncio.Task[int]:
    """Both are waiting when this returns."""
    task = asyncio.create_task(while_present(client.receive, work.run()))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


def test_somebody_who_waits_is_answered_and_waited_for_no_more() -> None:
    """The answer is there, and no task is left that watches the client."""

    async def main() -> tuple[int, int]:
        client, work = Client(), Work()
        task = await begin(client, work)
        work.end.set()
        answer = await task
        await asyncio.sleep(0)
        return answer, len(asyncio.all_tasks())

    assert asyncio.run(main()) == (7, 1)


def test_work_for_somebody_who_is_gone_is_given_up() -> None:
    """It is not the request that was cancelled, but the client that left."""

    async def main() -> bool:
        client, work = Client(), Work()
        task = await begin(client, work)
        client.gone.set()
        with pytest.raises(ClientDisconnect):
            await task
        return work.given_up

    assert asyncio.run(main())


def test_work_that_is_done_when_the_client_leaves_is_an_answer_or_a_leave() -> None:
    """Both in one turn of the loop: one of the two, and nothing in between."""

    async def main() -> bool:
        client, work = Client(), Work()
        task = await begin(client, work)
        client.gone.set()
        work.end.set()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        return ended == 7 or isinstance(ended, ClientDisconnect)

    assert asyncio.run(main())


@pytest.mark.parametrize("gone", [False, True])
def test_a_request_that_the_server_gives_up_is_cancelled(gone: bool) -> None:
    """Whether the client has left in the same turn or not, whoever cancelled it is obeyed."""

    async def main() -> bool:
        client, work = Client(), Work()
        task = await begin(client, work)
        if gone:
            client.gone.set()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled() and work.given_up

    assert asyncio.run(main())


def test_an_error_of_the_work_is_the_error() -> None:
    """It is not hidden by the client's leaving later."""

    async def main() -> None:
        async def fail() -> int:
            raise ArithmeticError

        with pytest.raises(ArithmeticError):
            await while_present(Client().receive, fail())

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["http.request", DISCONNECT])
def test_what_comes_while_others_are_answered_is_kept(kind: str) -> None:
    """A part of the body is no leave; whatever it is, it is what is received next, once."""

    async def main() -> list[str]:
        messages: list[Message] = [{"type": kind, "body": b"1"}, {"type": "http.request", "body": b"2"}]

        async def receive() -> Message:
            return messages.pop(0)

        ahead = Ahead(receive)
        work = asyncio.sleep(0.01, 7)
        if kind == DISCONNECT:
            with pytest.raises(ClientDisconnect):
                await while_present(ahead.leaving, work)
        else:
            assert await while_present(ahead.leaving, work) == 7
        return [(await ahead())["type"], (await ahead())["type"]]

    assert asyncio.run(main()) == [kind, "http.request"]
