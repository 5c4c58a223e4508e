"""A server's processes: started on its cores, waited for, watched and ended."""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.peers import Peer
from benchmarks.serving.wire import Answer, Post

ROOT = Path(__file__).parents[2]
SERVERS = Path(__file__).parent / "servers"
START_SECONDS, STOP_SECONDS, ANSWER_SECONDS = 120, 10, 60
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class NotServed(Exception):
    """A server that cannot be measured; the text is the reason, as the table tells it."""


@dataclass(frozen=True)
class Server:
    """A server that runs; its processes share a session, whose number is its first process's."""

    session: int
    port: int

    def ask(self, post: Post) -> Answer:
        """One request on a connection of its own.

        Raises:
            OSError: there is no answer.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("POST", post.path, post.body, post.headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(f"no HTTP answer: {error!r}") from error
        finally:
            connection.close()

    def cpu_seconds(self) -> dict[int, float]:
        """User and system time so far of each of its processes, by process id."""
        tick = os.sysconf("SC_CLK_TCK")
        return {process: sum(map(int, stat[11:13])) / tick for process, stat in _processes(self.session).items()}

    def resident_bytes(self) -> int:
        """What its processes hold in memory, together; pages that they share count once each."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int(stat[21]) * page for stat in _processes(self.session).values())


@contextmanager
def running(
    peer: Peer, python: Path, cores: Sequence[int], places: dict[str, str], log: Path, more: Sequence[str] = ()
) -> Iterator[Server]:
    """`peer`, pinned to `cores` and listening; `places` fills in its command and environment, `more` are arguments."""
    port = _free_port()
    known = {**places, "python": str(python), "port": str(port)}
    filled = {name: value.format_map(known) for name, value in peer.environment.items()}
    own = {"SERVING_GRAPH": places["graph"], "SERVING_PORT": str(port)}
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))]
    with log.open("wb") as output:
        first = subprocess.Popen(
            [*pinned, *(part.format_map(known) for part in peer.command), *more],
            cwd=SERVERS if peer.requirements else ROOT,
            env=os.environ | ONE_THREAD | own | filled,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _await(first, port, log)
        yield Server(first.pid, port)
    finally:
        _end(first)


def _await(first: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if first.poll() is not None:
            last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
            raise NotServed(f"ended when it started: {last[0]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise NotServed(f"did not listen within {START_SECONDS} s")


def _end(first: subprocess.Popen[bytes]) -> None:
    """Ask every process of the session to end, then insist: some servers leave children behind."""
    session = first.pid
    deadline = time.monotonic() + STOP_SECONDS
    _signal(session, signal.SIGTERM)
    while _processes(session) and time.monotonic() < deadline:
        time.sleep(0.1)
    while _processes(session):
        _signal(session, signal.SIGKILL)
        time.sleep(0.1)
    first.wait()


def _signal(session: int, number: signal.Signals) -> None:
    for process in _processes(session):
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue


def _processes(session: int) -> dict[int, list[str]]:
    """What /proc says of each living process of a session, the fields after its name."""
    found: dict[int, list[str]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[3]) == session and fields[0] != "Z":
            found[int(folder.name)] = fields
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
