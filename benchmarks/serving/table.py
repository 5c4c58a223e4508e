"""The tables, in Markdown: a line a server."""

from collections.abc import Callable, Sequence

from benchmarks.serving.closed_loop import Closed
from benchmarks.serving.open_loop import Open
from benchmarks.serving.peers import BARE, CONNECTIONS, ROW_COUNTS, Cell
from benchmarks.serving.repeat import SHARES, Line, Repeat
from benchmarks.serving.spread import Spread, number

BUSY = 0.9
"""Share of its core above which the load generator may be what limits."""


def tables(names: Sequence[str], repeats: Sequence[Repeat]) -> list[str]:
    """Every table, each under its heading; a line without numbers says why."""
    lines: list[str] = []
    for rows in ROW_COUNTS:
        lines += [_title(rows), "", *_closed_table(names, repeats, rows), ""]
    lines += ["Open loop, 1 row a request: latency from the intended moment, ms", "", *_open_table(names, repeats), ""]
    return [*lines, "onnxruntime alone, in a loop", "", *_graph_table(repeats), *_notes(repeats)]


def _title(rows: int) -> str:
    return f"{rows} row{'s' if rows > 1 else ''} a request, closed loop"


def _closed_table(names: Sequence[str], repeats: Sequence[Repeat], rows: int) -> list[str]:
    heads = ["server"]
    reasons = _reasons(repeats)
    for connections in CONNECTIONS:
        heads += [f"req/s, {connections} connection{'s' if connections > 1 else ''}", "× bare", "p50, p99 ms"]
    body: list[list[str]] = []
    for name in names:
        found = [(repeat.lines.get(name, Line()), repeat.lines.get(BARE, Line())) for repeat in repeats]
        columns: list[str] = []
        for cell in (Cell(rows, connections) for connections in CONNECTIONS):
            pairs = [(ours.closed[cell], bare.closed.get(cell)) for ours, bare in found if cell in ours.closed]
            columns += _closed_columns(pairs)
        if any(columns):
            body.append([name, *(column or "-" for column in columns)])
        elif name in reasons:
            body.append([name, f"not measured: {reasons[name]}", *["-"] * (len(heads) - 2)])
    return _markdown(heads, body)


def _closed_columns(pairs: Sequence[tuple[Closed, Closed | None]]) -> list[str]:
    """Requests a second, their ratio to bare in the same repeat, and latencies; empty where nothing was measured."""
    if not pairs:
        return ["", "", ""]
    seen = [ours for ours, _ in pairs]
    marks = ("†" if any(each.load > BUSY for each in seen) else "") + _failed(sum(each.failed for each in seen))
    ratios = [ours.rate / bare.rate for ours, bare in pairs if bare is not None]
    return [
        Spread.of([each.rate for each in seen]).text() + marks,
        number(Spread.of(ratios).median, 2) if ratios else "-",
        _latencies(seen),
    ]


def _open_table(names: Sequence[str], repeats: Sequence[Repeat]) -> list[str]:
    heads = ["server"]
    for share in SHARES:
        heads += [f"{share:.0%}: req/s", "p50, p99", "load busy"]
    body: list[list[str]] = []
    for name in names:
        columns: list[str] = []
        for share in SHARES:
            seen = [line.open[share] for repeat in repeats if (line := repeat.lines.get(name)) and share in line.open]
            columns += _open_columns(seen)
        if any(columns):
            body.append([name, *(column or "-" for column in columns)])
    return _markdown(heads, body)


def _open_columns(seen: Sequence[Open]) -> list[str]:
    if not seen:
        return ["", "", ""]
    busy = Spread.of([each.busy for each in seen]).median
    offered = number(Spread.of([each.offered for each in seen]).median) + _failed(sum(each.failed for each in seen))
    return [offered, _latencies(seen), f"{busy:.0%}" + ("†" if busy > BUSY else "")]


def _graph_table(repeats: Sequence[Repeat]) -> list[str]:
    heads = ["model", *(f"{_title(rows).split(' a ')[0]} a run, µs a row" for rows in ROW_COUNTS), "rows/s at 256"]
    body: list[list[str]] = []
    for model in dict.fromkeys(model for repeat in repeats for model, _ in repeat.graph):
        costs = [Spread.of([1e6 * repeat.graph[model, rows] for repeat in repeats]).text() for rows in ROW_COUNTS]
        rate = Spread.of([1 / repeat.graph[model, ROW_COUNTS[-1]] for repeat in repeats]).median
        body.append([model, *costs, number(rate)])
    return _markdown(heads, body)


def _notes(repeats: Sequence[Repeat]) -> list[str]:
    gaps = [f"- {name}, in a repeat at least: {reason}" for name, reason in _reasons(repeats).items()]
    return ["", *gaps, "† the load generator may be what limits; ✗ so many requests failed."]


def _reasons(repeats: Sequence[Repeat]) -> dict[str, str]:
    return {name: reason for repeat in repeats for name, reason in repeat.reasons.items()}


def _latencies(seen: Sequence[Closed] | Sequence[Open]) -> str:
    def of(pick: Callable[[Closed | Open], float]) -> str:
        return number(1e3 * Spread.of([pick(each) for each in seen]).median)

    return f"{of(lambda each: each.p50)}, {of(lambda each: each.p99)}"


def _failed(count: int) -> str:
    return f" ✗{count}" if count else ""


def _markdown(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *body)]
