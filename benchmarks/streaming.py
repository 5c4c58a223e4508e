"""NDJSON of a million rows: what it takes to stream them through `/score`, and how far the server's memory moves.

    python -m benchmarks.streaming [--rows 1000000] [--rows-a-line 1]

The answers are read while the rows are sent. Resident memory is taken five times a second; what counts is its range
after the first tenth of the answers, and the aim is 20 MB.
"""

import argparse
import http.client
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

from app import bundle as bundles
from app.array import Array
from benchmarks.serving import bundle
from benchmarks.serving.environment import python_for
from benchmarks.serving.peers import PEERS
from benchmarks.serving.server import NotServed, Server, running

KINDS = 4096
"""Different rows; they come again and again."""
CHUNK_LINES = 256
INTERVAL, PATIENCE = 0.2, 60
"""Seconds: from one sample of memory to the next, and for a send or a line to take."""
MOST_MOVED = 20e6
"""Bytes."""


@dataclass
class Watch:
    """The server's resident memory, in bytes, and how many lines it had answered by then."""

    answered: int = 0
    samples: list[tuple[int, int]] = field(default_factory=list)

    def moved(self, lines: int) -> int:
        """The range of memory after the first tenth of so many lines; 0 where it was not seen twice."""
        sizes = [size for answered, size in self.samples if answered >= lines / 10]
        return max(sizes, default=0) - min(sizes, default=0)


def main(arguments: list[str] | None = None) -> None:
    """Stream and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description="NDJSON through /score.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="to stream (default: 1000000)")
    parser.add_argument("--rows-a-line", type=int, default=1, help="that one line holds (default: 1)")
    told = parser.parse_args(arguments)
    lines = -(-told.rows // told.rows_a_line)
    peer = next(peer for peer in PEERS if peer.key == "nelbo")
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name)
        made = bundle.make(repository)
        places = {"models": name, "graph": str(made.path / bundles.SCORE)}
        with running(peer, python_for(peer, Path()), cores[-1:], places, repository / ".log") as server:
            started, watch = time.monotonic(), Watch()
            last = stream(server, line_of(bundle.rows(KINDS, seed=3), told.rows_a_line), lines, watch)
            seconds = time.monotonic() - started
    moved = watch.moved(lines)
    print(f"{lines * told.rows_a_line:,} rows in {lines:,} lines, {lines * told.rows_a_line / seconds:,.0f} rows/s")
    print(f"the stream's last line: {last}")
    verdict = "met" if moved <= MOST_MOVED else "missed"
    print(
        f"resident memory {watch.samples[0][1] / 1e6:.1f} MB at first, {watch.samples[-1][1] / 1e6:.1f} MB at last; "
        f"after the first tenth it moved by {moved / 1e6:.1f} MB, at most {MOST_MOVED / 1e6:.0f}: {verdict}"
    )


def line_of(rows: Array, rows_a_line: int) -> list[bytes]:
    """Lines `{"rows": [[…], …]}` of rows [n, D], as many as they fill."""
    groups = [rows[start : start + rows_a_line].tolist() for start in range(0, len(rows), rows_a_line)]
    return [json.dumps({"rows": group}).encode() + b"\n" for group in groups if len(group) == rows_a_line]


def stream(server: Server, kinds: list[bytes], lines: int, watch: Watch) -> str:
    """Send `lines` of these lines again and again while reading the answers; the answer's last line.

    Raises:
        NotServed: the answer is not 200, or has another number of lines.
    """
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    connection.connect()
    connection.auto_open = 0  # what is cut off stays so, where send would connect again
    connection.putrequest("POST", "/score")
    connection.putheader("Content-Type", "application/x-ndjson")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    ended = threading.Event()
    threads = [
        threading.Thread(target=_send, args=(connection, islice(cycle(kinds), lines))),
        threading.Thread(target=_sample, args=(server, watch, ended)),
    ]
    for thread in threads:
        thread.start()
    try:
        return _read(connection, lines, watch)
    finally:
        ended.set()
        connection.close()
        for thread in threads:
            thread.join()


def _send(connection: http.client.HTTPConnection, lines: Iterator[bytes]) -> None:
    try:
        while data := b"".join(islice(lines, CHUNK_LINES)):
            connection.send(b"%x\r\n%b\r\n" % (len(data), data))
        connection.send(b"0\r\n\r\n")
    except (OSError, http.client.NotConnected):
        return  # the reader tells what the server answered instead


def _read(connection: http.client.HTTPConnection, lines: int, watch: Watch) -> str:
    response = connection.getresponse()
    if response.status != 200:
        raise NotServed(f"answers {response.status} to application/x-ndjson")
    last = b""
    for line in response:
        watch.answered += 1
        last = line
    if watch.answered != lines + 1:
        raise NotServed(f"{watch.answered} lines of answer to {lines} lines, expected one more than these")
    return last.decode().strip()


def _sample(server: Server, watch: Watch, ended: threading.Event) -> None:
    while not ended.wait(INTERVAL):
        watch.samples.append((watch.answered, server.resident_bytes()))


if __name__ == "__main__":
    main()
