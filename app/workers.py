"""Pieces scored by several processes, in order.

Reading cells and writing numbers hold Python's lock, so that threads would share one core for them. Here each process
has a thread that waits for its answers; a process that is killed, and one whose parent is, ends with its pipe.
"""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from app.errors import BundleError, NelboError
from app.model import Model
from app.repository import open_model
from app.settings import Settings
from app.work import Part, Work

Answer = TypeVar("Answer")

IN_FLIGHT = 2
"""Pieces for each process that are read ahead or wait to be written."""


@dataclass(frozen=True)
class Opening:
    """How another process opens the model that is open here."""

    path: Path
    digest: str
    settings: Settings

    def open(self) -> Model:
        """The same model.

        Raises:
            BundleError: it is not the same any more, or must not be served.
        """
        model = open_model(self.path, self.settings)
        if model.bundle.digest != self.digest:
            raise BundleError(f"{self.path}: the bundle was changed while it was in use")
        return model


@dataclass(frozen=True)
class Refusal:
    """What a process answers where it cannot score; the errors themselves do not all survive a pipe."""

    text: str


def score_in_order(work: Iterable[Work], opening: Opening, count: int) -> Iterator[Part]:
    """Score by so many processes; at most `IN_FLIGHT` pieces for each are held at once.

    Raises:
        NelboError: a piece is refused, or a process ended by itself.
    """
    # The processes end first: a thread that waits for one ends with it.
    with ThreadPoolExecutor(count) as threads, _started(opening, count) as idle:
        waiting: deque[Future[Part]] = deque()
        for piece in work:
            waiting.append(threads.submit(_ask, idle, piece))
            if len(waiting) == IN_FLIGHT * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _ask(idle: "SimpleQueue[Connection]", piece: Work) -> Part:
    connection = idle.get()
    try:
        connection.send(piece)
        answer: Part | Refusal = connection.recv()
    except (EOFError, OSError) as error:
        raise NelboError("a scoring process ended by itself; expected it to answer, does it lack memory?") from error
    finally:
        idle.put(connection)
    if isinstance(answer, Refusal):
        raise NelboError(answer.text)
    return answer


@contextmanager
def _started(opening: Opening, count: int) -> Iterator["SimpleQueue[Connection]"]:
    """The processes, by their pipes; they are ended whatever they do."""
    context, idle = get_context("spawn"), SimpleQueue[Connection]()
    processes: list[SpawnProcess] = []
    try:
        with _without_interrupts():
            for _ in range(count):
                ours, theirs = context.Pipe()
                idle.put(ours)
                with theirs:  # each side sees the other's end only while it holds none of its own
                    process = context.Process(target=_serve, args=(theirs, opening), daemon=True)
                    process.start()
                processes.append(process)
        yield idle
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C goes to every process of the terminal; what is started here leaves it to its parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, opening: Opening) -> None:
    """Answer until the parent is gone."""
    model = _or_refusal(opening.open)
    with suppress(EOFError, ConnectionError):
        while True:
            piece: Work = connection.recv()
            connection.send(model if isinstance(model, Refusal) else _or_refusal(partial(piece.score, model)))


def _or_refusal(answer: Callable[[], Answer]) -> Answer | Refusal:
    try:
        return answer()
    except NelboError as error:
        return Refusal(str(error))
