"""What takes long lets others have a turn, and ends where nobody waits for it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from app.array import Array
from app.backlog import Backlog
from app.long import Abandoned, Long, pause, require_asker
from app.model import Model, open_model
from app.pool import Pace, Pool
from app.settings import Settings
from tests.conftest import plant_rows

HOLED = np.array([[20.0, np.nan, 5.0, 3.0], [np.nan, 1013.0, 5.0, 3.0]])


@pytest.fixture
def plant(models: Path) -> Model:
    """Opened anew, so that no pattern of missing sensors is known."""
    return open_model(models / "plant" / "1", Settings(device="cpu"))


@pytest.mark.parametrize("asked", ["expected", "bound", "missing"])
def test_questions_that_take_long_let_others_have_a_turn(plant: Model, asked: str) -> None:
    """Before each run of a graph, and their answers are the same."""
    turns: list[None] = []
    long = Long(lambda: turns.append(None))
    with long.under_way():
        together = ask(plant, asked)
    alone = ask(plant, asked)

    assert len(turns) > 1
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def ask(plant: Model, asked: str) -> list[Array]:
    x = plant_rows(100, seed=11)
    if asked == "expected":
        return list(plant.engine.expected(x))
    if asked == "bound":
        bound = plant.engine.bound(x, 64, seed=1)
        return [bound.value, bound.error]
    return list(plant.judge(HOLED))


def test_others_have_no_turn_within_a_turn() -> None:
    """They are short, and ask graphs themselves."""
    turns: list[int] = []

    def others() -> None:
        turns.append(len(turns))
        pause()
        require_asker()

    long = Long(others)
    long.abandoned = True
    with long.under_way():
        pause()
    pause()

    assert turns == [0]
    assert long.paused > 0


@pytest.mark.parametrize("asked", ["expected", "bound", "missing"])
def test_what_nobody_waits_for_ends(plant: Model, asked: str) -> None:
    """Before the next of its parts; somebody else who asks is answered."""
    long = Long(lambda: None)
    long.abandoned = True

    with pytest.raises(Abandoned), long.under_way():
        ask(plant, asked)
    assert np.isfinite(ask(plant, asked)[0]).all()


def test_a_thread_is_free_again_when_the_asker_is_gone() -> None:
    """What is cancelled while it is under way is told so."""

    async def main() -> int:
        with ThreadPoolExecutor(1) as threads:
            pool = Pool(threads, Backlog(60))
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()

            def endless() -> None:
                loop.call_soon_threadsafe(begun.set)
                while True:
                    require_asker()

            gone = asyncio.create_task(pool.run(endless, 1, Pace(0.1)))
            await begun.wait()
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            return await asyncio.wait_for(pool.run(lambda: 7, 1, Pace(0.1)), 20)

    assert asyncio.run(main()) == 7
