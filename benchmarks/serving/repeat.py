"""One repeat: the graph alone and every server in turn, so that what else the machine does hits all alike."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app import bundle
from benchmarks.serving.closed_loop import Closed, closed_loop
from benchmarks.serving.graph_alone import score_graph, seconds_a_row
from benchmarks.serving.open_loop import Open, open_loop
from benchmarks.serving.peers import CONNECTIONS, ROW_COUNTS, Cell, Peer, Question
from benchmarks.serving.server import NotServed, Server, running
from benchmarks.serving.subject import Subject

SHARES = (0.5, 0.8)
"""Of its capacity, that a server is asked for in an open loop."""
WARM_SECONDS = 1
MANY = max(ROW_COUNTS)


@dataclass(frozen=True)
class Plan:
    """What all repeats have in common."""

    peers: tuple[Peer, ...]
    pythons: dict[str, Path]
    """By a peer's key; one that could not be installed has none."""
    subjects: dict[str, Subject]
    server_core: int
    seconds: int
    places: dict[str, str]
    log_folder: Path


@dataclass(frozen=True)
class Line:
    """What one question came to in one repeat."""

    closed: dict[Cell, Closed] = field(default_factory=dict)
    open: dict[float, Open] = field(default_factory=dict)
    graph: dict[Cell, float] = field(default_factory=dict)
    """What the graph alone took a row right before and right after a cell of many rows, in seconds."""

    @property
    def capacity(self) -> float:
        """The most requests of one row a second that it answered."""
        return max(closed.rate for cell, closed in self.closed.items() if cell.rows == 1)


@dataclass(frozen=True)
class Repeat:
    """All lines by name, why a line is missing or incomplete, and the graph's seconds a row by model and rows a run."""

    lines: dict[str, Line] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    graph: dict[tuple[str, int], float] = field(default_factory=dict)


def repeat(plan: Plan, number: int) -> Repeat:
    """Measure everything once."""
    seen = Repeat()
    for model, subject in plan.subjects.items():
        opened = subject.bundle
        graph = score_graph(opened.path / bundle.SCORE, len(opened.manifest.sensors))
        for count in ROW_COUNTS:
            cost = seconds_a_row(graph, subject.rows[count], plan.server_core, plan.seconds / 2)
            seen.graph[model, count] = cost
    for peer in plan.peers:
        if peer.key in plan.pythons:
            _measure_server(plan, peer, number, seen)
    return seen


def _measure_server(plan: Plan, peer: Peer, number: int, seen: Repeat) -> None:
    log = plan.log_folder / f"{peer.key}.log"
    with (
        _noting(seen, peer.questions),
        running(peer, plan.pythons[peer.key], [plan.server_core], plan.places, log) as server,
    ):
        for question in peer.questions:
            with _noting(seen, (question,)):
                line = seen.lines[question.name] = Line()
                _measure(plan, server, question, number, line)


def _measure(plan: Plan, server: Server, question: Question, number: int, line: Line) -> None:
    subject = plan.subjects[question.model]
    _first_answer(server, subject, question)
    for count in sorted({cell.rows for cell in question.cells}):
        subject.check(server, question, count)
    warmest = max(CONNECTIONS)
    closed_loop(server.port, subject.post(question, question.cells[0].rows), warmest, WARM_SECONDS)
    for cell in question.cells:
        # a closed loop leaves requests behind when it ends: what is asked now waits for them
        subject.check(server, question, cell.rows)
        post = subject.post(question, cell.rows)
        if cell.rows == MANY:
            before = _graph_alone(plan, subject)
            line.closed[cell] = closed_loop(server.port, post, cell.connections, plan.seconds)
            subject.check(server, question, cell.rows)
            line.graph[cell] = (before + _graph_alone(plan, subject)) / 2
        else:
            line.closed[cell] = closed_loop(server.port, post, cell.connections, plan.seconds)
    for share in SHARES if question.open_loop else ():
        subject.check(server, question, 1)
        rate = share * line.capacity
        line.open[share] = open_loop(server.port, subject.post(question, 1), rate, plan.seconds, number)


def _graph_alone(plan: Plan, subject: Subject) -> float:
    """A row's seconds in runs of many: a machine that others share is not from minute to minute the same."""
    opened = subject.bundle
    graph = score_graph(opened.path / bundle.SCORE, len(opened.manifest.sensors))
    return seconds_a_row(graph, subject.rows[MANY], plan.server_core, plan.seconds / 2)


def _first_answer(server: Server, subject: Subject, question: Question, patience: float = 60) -> None:
    """Some servers listen before they can answer."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            return subject.check(server, question, question.cells[0].rows)
        except NotServed:
            time.sleep(0.2)
    return subject.check(server, question, question.cells[0].rows)


@contextmanager
def _noting(seen: Repeat, questions: tuple[Question, ...]) -> Iterator[None]:
    """One server that fails is a line with a reason, and the others go on."""
    try:
        yield
    except (NotServed, OSError) as error:
        for question in questions:
            seen.reasons.setdefault(question.name, str(error))
