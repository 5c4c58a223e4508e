"""Long bodies with nothing but faults: how long others wait meanwhile, and how much is said of them."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place, Served
from benchmarks.soak.worst_bodies import worst_bodies

MEBIBYTE = 2**20
SIZES = (2_000_000, 8 * MEBIBYTE)
REFUSED = {400, 413, 422}
MOST_SECONDS = 0.05
MOST_ANSWER = 4096
MOST_MEMORY = 400 * MEBIBYTE
TIMES = 3
"""Each body is sent so often, and the shortest of its pauses counts: what is always there is the service's own."""


@dataclass(frozen=True)
class Told:
    """What a body was answered, and the longest that somebody else waited meanwhile, in seconds."""

    name: str
    status: int
    answer: int
    pause: float


def long_bodies(place: Place) -> Iterator[Finding]:
    """Of two and of eight megabytes, one by one, while somebody else asks again and again whether the service lives."""
    for size in SIZES:
        with place.serve() as served:
            everything = [
                min((_told(served.port, *body) for _ in range(TIMES)), key=lambda told: told.pause)
                for body in worst_bodies(size, _sensors(served.port))
            ]
            peak = _peak(served)
        yield from _findings(size, everything, peak)


def _findings(size: int, everything: list[Told], peak: int) -> Iterator[Finding]:
    check = f"{len(everything)} bodies of {size / 1e6:.0f} MB of faults"
    slowest = max(everything, key=lambda told: told.pause)
    longest = max(told.answer for told in everything)
    statuses = {told.status for told in everything}
    wanted = ", ".join(map(str, sorted(REFUSED)))
    yield Finding(
        f"{check}: others wait",
        f"{slowest.pause * 1e3:.0f} ms, at {slowest.name}",
        f"≤ {MOST_SECONDS * 1e3:.0f} ms",
        slowest.pause <= MOST_SECONDS,
    )
    yield Finding(f"{check}: answers", f"{longest:,} bytes", f"≤ {MOST_ANSWER:,} bytes", longest <= MOST_ANSWER)
    yield Finding(f"{check}: statuses", ", ".join(map(str, sorted(statuses))), f"of {wanted}", statuses <= REFUSED)
    yield Finding(
        f"{check}: memory at most",
        f"{peak / MEBIBYTE:.0f} MiB",
        f"≤ {MOST_MEMORY / MEBIBYTE:.0f} MiB",
        peak <= MOST_MEMORY,
    )


def _told(port: int, path: str, name: str, body: bytes) -> Told:
    answered = threading.Event()
    pauses: list[float] = []
    asking = threading.Thread(target=_ask_whether_it_lives, args=(port, answered, pauses))
    asking.start()
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        connection.close()
    finally:
        answered.set()
        asking.join()
    return Told(name, response.status, len(answer), max(pauses))


def _ask_whether_it_lives(port: int, answered: threading.Event, pauses: list[float]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    while not answered.is_set():
        started = time.perf_counter()
        connection.request("GET", "/health/live")
        connection.getresponse().read()
        pauses.append(time.perf_counter() - started)
        time.sleep(0.001)
    connection.close()


def _sensors(port: int) -> list[str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/models/reference")
    model = json.loads(connection.getresponse().read())
    connection.close()
    return [sensor["name"] for sensor in model["sensors"]]


def _peak(served: Served) -> int:
    """The most that the server ever held in memory."""
    status = Path(f"/proc/{served.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
