"""Pieces scored by several processes, in order.

Reading cells and writing numbers hold Python's lock, so that threads would share one core for them. Here each process
has a thread that waits for its answers; a process that is killed, and one whose parent is, ends with its pipe.

The held-out rows are ranked anew for each pattern of missing sensors, which takes longer than scoring a piece. Every
process may have use for it, so that one ranks for all: here, in the thread of the one that asks first, while that one
waits.
"""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from app import bundle
from app.calibration import Calibration
from app.errors import BundleError, NelboError
from app.model import Model, open_model
from app.ranking import Ranking
from app.settings import Settings
from app.work import Part, Work

Answer = TypeVar("Answer")

IN_FLIGHT = 2
"""Pieces for each process that are read ahead or wait to be written."""
PATTERNS_KEPT = 4096
"""Rankings in memory; each holds the held-out scores of its pattern."""


@dataclass(frozen=True)
class Opening:
    """How another process opens the model that is open here."""

    path: Path
    digest: str
    settings: Settings

    def open(self, rank: Callable[[bytes], Ranking]) -> Model:
        """The same model, whose rankings are asked for.

        Raises:
            BundleError: it is not the same any more, or must not be served.
        """
        model = open_model(self.path, self.settings)
        if model.bundle.digest != self.digest:
            raise BundleError(self.path, "the bundle was changed while it was in use")
        return keeping_patterns(model, rank)


def keeping_patterns(model: Model, rank: Callable[[bytes], Ranking] | None = None) -> Model:
    """The model, with rankings of more patterns of missing sensors kept than a server has use for."""
    file = model.bundle.path / bundle.CALIBRATION
    return replace(model, calibration=Calibration(file, model.engine, PATTERNS_KEPT, rank))


@dataclass(frozen=True)
class Unranked:
    """What a process asks for before it can answer."""

    pattern: bytes


@dataclass(frozen=True)
class Refusal:
    """What a process answers where it cannot score; the errors themselves do not all survive a pipe."""

    text: str


def score_in_order(work: Iterable[Work], model: Model, opening: Opening, count: int) -> Iterator[Part]:
    """Score by so many processes, `model` ranking for them; at most `IN_FLIGHT` pieces for each are held at once.

    Raises:
        NelboError: a piece is refused, or a process ended by itself.
    """
    # The processes end first: a thread that waits for one ends with it.
    with ThreadPoolExecutor(count) as threads, _started(opening, count) as idle:
        waiting: deque[Future[Part]] = deque()
        for piece in work:
            waiting.append(threads.submit(_ask, idle, piece, model.calibration))
            if len(waiting) == IN_FLIGHT * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _ask(idle: "SimpleQueue[Connection]", piece: Work, calibration: Calibration) -> Part:
    connection = idle.get()
    try:
        connection.send(piece)
        answer: Part | Refusal | Unranked = connection.recv()
        while isinstance(answer, Unranked):
            connection.send(calibration.ranking(answer.pattern))
            answer = connection.recv()
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
        resource_tracker.ensure_running()  # multiprocessing's own; it lets interrupts through again when it has started
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

    def rank(pattern: bytes) -> Ranking:
        connection.send(Unranked(pattern))
        ranking: Ranking = connection.recv()
        return ranking

    model = _or_refusal(partial(opening.open, rank))
    with suppress(EOFError, OSError):  # of the pipe: scoring opens no file
        while True:
            piece: Work = connection.recv()
            connection.send(model if isinstance(model, Refusal) else _or_refusal(partial(piece.score, model)))


def _or_refusal(answer: Callable[[], Answer]) -> Answer | Refusal:
    try:
        return answer()
    except NelboError as error:
        return Refusal(str(error))
