"""The serving benchmark: its arithmetic on known numbers, its load on real sockets, and its bundle behind nelbo."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from app.bundle import SCORE
from benchmarks.serving import bundle
from benchmarks.serving import server as server_module
from benchmarks.serving.closed_loop import Closed
from benchmarks.serving.environment import python_for
from benchmarks.serving.goals import goals
from benchmarks.serving.graph_alone import score_graph, seconds_a_row
from benchmarks.serving.open_loop import CONNECTIONS as CONNECTIONS_KEPT
from benchmarks.serving.open_loop import Open, open_loop, schedule
from benchmarks.serving.peers import BARE, CONNECTIONS, NELBO, NELBO_BINARY, PEERS, ROW_COUNTS, TURBINE, Cell, Peer
from benchmarks.serving.repeat import SHARES, Line, Repeat
from benchmarks.serving.server import NotServed, running
from benchmarks.serving.spread import Spread, number
from benchmarks.serving.subject import Subject
from benchmarks.serving.table import tables
from benchmarks.serving.wire import HEADER_LENGTH, V2_BINARY, Answer, Post
from benchmarks.serving.workers import Worked, lines

CELLS = [Cell(rows, connections) for rows in ROW_COUNTS for connections in CONNECTIONS]
PLACES = {"models": "", "graph": ""}
LISTENS = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), None).serve_forever()"


def line(rate: float, p50: float, load: float = 0.5, failed: int = 0, pace: float = 1.0) -> Line:
    """The same in every cell; p99 is ten times p50, and the graph does 76,800 rows a second of 256 beside it."""
    closed = {cell: Closed(rate, p50, 10 * p50, failed, load) for cell in CELLS}
    graph = {cell: 1 / (76_800 * pace) for cell in CELLS if cell.rows == 256}
    return Line(closed, {share: Open(share * rate, p50, 10 * p50, 0, 0.3) for share in SHARES}, graph)


def measured(pace: float) -> Repeat:
    """One repeat, on a machine of so many times the usual pace."""
    rates = {BARE: 20_000, NELBO: 8_000, NELBO_BINARY: 285, TURBINE: 9_000, "slow": 1_000, "best": 4_000}
    found = {name: line(rate * pace, 1 / (rate * pace), pace=pace) for name, rate in rates.items()}
    costs = {("reference", 1): 60e-6, ("reference", 256): 1e6 / 76_800 * 1e-6, ("gas-turbine", 16): 60e-6}
    graph = {
        key: costs.get(key, 20e-6) / pace for key in [(m, n) for m in ("reference", "gas-turbine") for n in ROW_COUNTS]
    }
    return Repeat(found, {"absent": "cannot be installed: no such thing"}, graph)


def test_the_arrivals_of_a_schedule_are_a_poisson_process() -> None:
    """In order, within the time, as many as the rate says; gaps have an exponential's mean and deviation."""
    arrivals = schedule(rate=1000, seconds=50, seed=0)

    gaps = np.diff(arrivals)
    assert (gaps >= 0).all()
    assert 0 <= arrivals[0] < arrivals[-1] <= 50
    assert len(arrivals) == pytest.approx(50_000, rel=0.02)
    assert gaps.mean() == pytest.approx(1e-3, rel=0.02)
    assert gaps.std() == pytest.approx(1e-3, rel=0.03)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.00"), (0.00345, "0.00345"), (9.999, "10.0"), (45.61, "45.6"), (12_345.0, "12,300")]
)
def test_a_number_has_three_digits(value: float, text: str) -> None:
    """However large or small it is."""
    assert number(value) == text


def test_a_spread_is_the_median_and_both_ends() -> None:
    """Of the repeats, in any order."""
    assert Spread.of([3.0, 1.0, 20.0]) == Spread(3.0, 1.0, 20.0)
    assert Spread.of([3.0, 1.0, 20.0]).text(2) == "3.0 (1.0-20)"


def test_the_tables_tell_rates_ratios_latencies_and_reasons() -> None:
    """A line a server: medians and ends, its ratio to bare within each repeat, milliseconds, marks, and why not."""
    repeats = [measured(pace) for pace in (1.0, 0.5, 2.0)]
    repeats[0].lines["best"] = line(4_000, 1 / 4_000, load=0.95, failed=1)

    text = "\n".join(tables([BARE, NELBO, "best", "absent"], repeats))

    assert "| nelbo | 8,000 (4,000-16,000) | 0.40 | 0.125, 1.25 |" in text
    assert "| best | 4,000 (2,000-8,000)† ✗1 | 0.20 | 0.250, 2.50 |" in text
    assert "| absent | not measured: cannot be installed: no such thing | - |" in text
    assert "| nelbo | 4,000 | 0.125, 1.25 | 30% | 6,400 | 0.125, 1.25 | 30% |" in text
    assert "| reference | 60.0 (30.0-120) | 20.0 (10.0-40.0) | 13.0 (6.51-26.0) | 76,800 |" in text


def test_each_goal_is_met_or_missed_by_its_ratio_within_a_repeat() -> None:
    """The ratios are those of known numbers, whatever the pace of the machine was in each repeat."""
    told = goals([measured(pace) for pace in (1.0, 0.5, 2.0)])

    assert [text.rpartition(": ")[2] for text in told] == ["met", "missed", "met", "met", "met", "met"]
    ratios = [0.4, 2.0, 125 / (2 * 50 + 60), 111.1 / (2 * 50 + 60), 256 * 8_000 / 76_800, 0.95]
    for text, ratio in zip(told, ratios, strict=True):
        assert f": {number(ratio)} (" in text


def test_a_goal_without_its_servers_is_not_measured() -> None:
    """A run with some of the peers only tells what it can."""
    told = goals([Repeat({BARE: line(20_000, 5e-5), NELBO: line(8_000, 1e-4)}, {}, {})])

    assert told[0].endswith("met")
    assert ["not measured" not in text for text in told] == [True, False, False, False, True, False]


def test_two_workers_are_told_as_their_ratio_where_there_are_cores_for_it() -> None:
    """And on two cores as the shares of each process, without an aim."""
    repeats = [{1: Worked(100.0, (0.99,)), 2: Worked(190.0, (0.96, 0.94))}]

    assert lines(Cell(1, 32), repeats, [0, 1, 2, 3])[-1] == "  - ratio 1.90 (1.90-1.90), at least 1.8: met"
    assert "each process: 96%, 94%" in lines(Cell(1, 32), repeats, [0, 1])[2]
    assert "no aim with 2 cores" in lines(Cell(1, 32), repeats, [0, 1])[-1]


def test_a_binary_request_is_a_header_and_the_bytes() -> None:
    """Its length header cuts it in two, and an answer in two likewise gives the scores."""
    rows = np.array([[1.5, -2.0], [0.25, 4.0]])

    post = V2_BINARY.put("/v2/models/reference/infer", rows)
    cut = int(post.headers[HEADER_LENGTH])

    (tensor,) = json.loads(post.body[:cut])["inputs"]
    assert tensor == {"name": "x", "datatype": "FP64", "shape": [2, 2], "parameters": {"binary_data_size": 32}}
    assert (np.frombuffer(post.body[cut:]).reshape(2, 2) == rows).all()
    assert V2_BINARY.scores is not None
    assert V2_BINARY.scores(Answer(200, {HEADER_LENGTH: "2"}, b"{}" + rows[0].tobytes())).tolist() == [1.5, -2.0]


class OneAtATime(BaseHTTPRequestHandler):
    """Ten milliseconds a request, one after the other; every second answer is 503."""

    protocol_version = "HTTP/1.1"
    turn = threading.Lock()
    answered = 0

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        with OneAtATime.turn:
            time.sleep(0.01)
            OneAtATime.answered += 1
            status = 503 if OneAtATime.answered % 2 else 200
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """It takes all of the load's connections at once."""

    request_queue_size = CONNECTIONS_KEPT
    daemon_threads = True


@pytest.fixture
def slow_port() -> Iterator[int]:
    """A server of `OneAtATime`."""
    with Server(("127.0.0.1", 0), OneAtATime) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_an_open_loop_counts_what_waits_and_what_fails(slow_port: int) -> None:
    """Arrivals at four times what a server can do: a latency is at least the queue before it; half the answers fail."""
    OneAtATime.answered = 0

    seen = open_loop(slow_port, Post("/", {}, b"{}"), rate=400, seconds=0.25, seed=0)

    count = len(schedule(400, 0.25, 0))
    assert seen.offered == count / 0.25
    assert seen.p99 > 0.9 * (0.01 * count - 0.25)
    assert seen.p50 < seen.p99
    assert seen.failed == (count + 1) // 2
    assert 0 < seen.busy <= 1


def peer(*command: str) -> Peer:
    """A server of our own."""
    return Peer("mine", (), ("{python}", "-c", *command), ())


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    """The reason ends up in the table, and no process is left."""
    broken = peer("import sys; sys.exit('the port is not mine')")

    with (
        pytest.raises(NotServed, match="ended when it started: the port is not mine"),
        running(broken, Path(sys.executable), [0], PLACES, tmp_path / "log"),
    ):
        pytest.fail("it listens")


def test_a_server_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that ignores the wish to end is ended too; until then its time and memory are counted."""
    monkeypatch.setattr(server_module, "STOP_SECONDS", 0.5)
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    stubborn = peer(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); {LISTENS}", "{port}")

    with running(stubborn, Path(sys.executable), [0], PLACES, tmp_path / "log") as server:
        while len(server.cpu_seconds()) < 2:
            time.sleep(0.01)
        assert server.resident_bytes() > 2**20

    assert server.cpu_seconds() == {}


@pytest.mark.slow
def test_a_peer_that_cannot_be_installed_is_told(tmp_path: Path) -> None:
    """With what pip said; nothing marks the environment as made."""
    absent = Peer("absent", (f"{tmp_path}/nowhere.whl",), (), ())

    with pytest.raises(NotServed, match="cannot be installed: ERROR"):
        python_for(absent, tmp_path)

    assert not list(tmp_path.rglob("installed.txt"))


@pytest.mark.slow
def test_the_reference_bundle_is_served_and_answers(tmp_path: Path) -> None:
    """Of the sizes that are told, with held-out rows enough; nelbo's answers are the graph's, a wrong one is seen."""
    made = bundle.make(tmp_path)
    assert (len(made.manifest.sensors), made.manifest.latent_size) == (8, 8)
    assert made.manifest.calibration.rows >= 1000
    subject = Subject.of(made, (1, 16))
    graph = score_graph(made.path / SCORE, len(made.manifest.sensors))
    assert seconds_a_row(graph, subject.rows[16], core=0, seconds=0.01) > 0
    (nelbo,) = (each for each in PEERS if each.key == "nelbo")
    question = nelbo.questions[0]
    places = {"models": str(tmp_path), "graph": str(made.path / SCORE)}

    with running(nelbo, Path(sys.executable), [0], places, tmp_path / ".log") as server:
        subject.check(server, question, 1)
        subject.check(server, question, 16)
        others = replace(subject, scores={16: subject.scores[16] + 0.01})
        with pytest.raises(NotServed, match="are not the graph's"):
            others.check(server, question, 16)
