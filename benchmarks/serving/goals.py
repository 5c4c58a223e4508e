"""What was aimed at beside what was found: each ratio is taken within a repeat, then its median over them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.serving.peers import BARE, NELBO, NELBO_BINARY, TURBINE, Cell
from benchmarks.serving.repeat import Line, Repeat
from benchmarks.serving.spread import Spread

BUSY, ALONE, BULK = Cell(1, 32), Cell(1, 1), Cell(256, 32)
OURS = (BARE, NELBO, NELBO_BINARY, TURBINE)


@dataclass(frozen=True)
class Goal:
    """A ratio and how far it must come; `least` says whether more is better."""

    text: str
    ratio: Callable[[Repeat], float]
    """Raises KeyError where a server that it takes was not measured, ValueError where there is no peer."""
    limit: float
    least: bool = True
    wished: float | None = None

    def line(self, repeats: Sequence[Repeat]) -> str:
        """One line of Markdown."""
        aim = f"{'at least' if self.least else 'at most'} {self.limit:g}"
        if self.wished is not None:
            aim += f", better {self.wished:g}"
        try:
            found = Spread.of([self.ratio(repeat) for repeat in repeats])
        except (KeyError, ValueError):
            return f"- {self.text}: not measured ({aim})"
        met = found.median >= self.limit if self.least else found.median <= self.limit
        return f"- {self.text}: {found.text()}, {aim}: {'met' if met else 'missed'}"


def goals(repeats: Sequence[Repeat]) -> list[str]:
    """Every goal's line."""
    return [goal.line(repeats) for goal in GOALS]


def _rate(repeat: Repeat, name: str, cell: Cell) -> float:
    return repeat.lines[name].closed[cell].rate


def _best_peer(repeat: Repeat) -> float:
    return max(line.closed[BUSY].rate for name, line in repeat.lines.items() if _is_peer(name, line))


def _is_peer(name: str, line: Line) -> bool:
    return name not in OURS and BUSY in line.closed


def _alone(repeat: Repeat) -> float:
    """p50 with 1 connection, in units of what it may be: twice bare's and the graph's own time."""
    allowed = 2 * repeat.lines[BARE].closed[ALONE].p50 + repeat.graph["reference", 1]
    return repeat.lines[NELBO].closed[ALONE].p50 / allowed


def _turbine(repeat: Repeat) -> float:
    """Seconds a request, in units of what they may be: twice bare's and the graph's for a row in batches of 16."""
    allowed = 2 / _rate(repeat, BARE, BUSY) + repeat.graph["gas-turbine", 16]
    return 1 / _rate(repeat, TURBINE, BUSY) / allowed


def _of_graph(name: str) -> Callable[[Repeat], float]:
    """Rows a second in requests of 256, in units of the graph's alone right before and after."""
    return lambda repeat: BULK.rows * _rate(repeat, name, BULK) * repeat.lines[name].graph[BULK]


GOALS = (
    Goal(
        "1 row, 32 connections, requests/s: nelbo / bare uvicorn",
        lambda repeat: _rate(repeat, NELBO, BUSY) / _rate(repeat, BARE, BUSY),
        0.35,
        wished=0.5,
    ),
    Goal(
        "1 row, 32 connections, requests/s: nelbo / the best peer",
        lambda repeat: _rate(repeat, NELBO, BUSY) / _best_peer(repeat),
        3,
    ),
    Goal("1 row, 1 connection, p50: nelbo / (2 × bare uvicorn + the graph's 1 row)", _alone, 1, least=False),
    Goal(
        "gas-turbine, 1 row, 32 connections, s a request: nelbo / (2 × bare uvicorn + the graph's row at 16)",
        _turbine,
        1,
        least=False,
    ),
    Goal("256 rows, 32 connections, rows/s: nelbo in JSON / the graph alone", _of_graph(NELBO), 0.85),
    Goal("256 rows, 32 connections, rows/s: nelbo in v2 binary / the graph alone", _of_graph(NELBO_BINARY), 0.95),
)
