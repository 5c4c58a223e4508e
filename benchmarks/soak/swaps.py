"""Models that are put into place and taken away while they are asked."""

import http.client
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from app.model import open_model
from app.settings import Settings
from benchmarks.serving.bundle import NAME, make, rows
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place, Served

SWAPS, SECONDS = 200, 60
PATIENCE_A_SWAP = 30
CLIENTS = 2
CALM_SECONDS = 5
MOST_GROWTH = 4 * 2**20


@dataclass
class Asked:
    """What clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    """By the bundle that the header names."""
    latest: str = ""
    """The one that the last answer named."""
    mixed: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """What each answer took."""


def swaps(place: Place) -> Iterator[Finding]:
    """Put reference/2 beside reference/1, or take it away again, each time that the last swap was seen in an answer."""
    root, aside = place.folder / "swapped", place.folder / "aside"
    shutil.copytree(place.models / NAME, root / NAME)
    make(root, seed=1)
    aside.mkdir()
    row = rows(1, seed=7)
    models = [open_model(root / NAME / version, Settings(device="cpu")) for version in ("1", "2")]
    scores = {model.identity: (model.manifest.version, model.engine.score(row).score.tolist()) for model in models}
    (root / NAME / "2").rename(aside / "2")
    with place.serve(NELBO_MODELS=str(root), NELBO_WATCH_SECONDS="0.02") as served:
        asked = Asked()
        resident: list[int] = []
        with _clients(served, json.dumps({"rows": row.tolist()}).encode(), scores, asked):
            time.sleep(CALM_SECONDS)
            calm = len(asked.seconds)
            started = time.monotonic()
            while len(resident) < SWAPS:
                here, there = (aside, root / NAME) if len(resident) % 2 == 0 else (root / NAME, aside)
                (here / "2").rename(there / "2")
                if not _seen(models[1 - len(resident) % 2].identity, asked):
                    break
                resident.append(served.resident_bytes())
            seconds = time.monotonic() - started
    total = asked.answers.total()
    alone, beside = _p99(asked.seconds[:calm]), _p99(asked.seconds[calm:])
    yield Finding(
        f"{SWAPS} swaps of the model at the root, one after the other, each seen in an answer",
        f"{len(resident)} in {seconds:.0f} s",
        f"≤ {SECONDS} s",
        len(resident) == SWAPS and seconds <= SECONDS,
    )
    yield Finding(
        "… requests that failed meanwhile",
        f"{len(asked.failures)} of {total}" + "".join(f"; {told}" for told in asked.failures[:1]),
        "0",
        not asked.failures and total > 0,
    )
    shares = " and ".join(str(count) for _, count in sorted(asked.answers.items()))
    yield Finding(
        "… answers that are not of the model that their header names",
        f"{asked.mixed}; {shares} by either",
        "0",
        asked.mixed == 0 and len(asked.answers) == 2,
    )
    yield Finding("… p99", f"{beside:.1f} ms, {alone:.1f} ms before", "at most twice", beside <= 2 * alone)
    begun, half = len(resident) // 4, len(resident) // 2
    growth = max(resident[half:], default=0) - max(resident[begun:half], default=0)
    yield Finding(
        "… growth of memory from the second quarter to the second half",
        f"{growth / 2**20:.1f} MiB",
        f"< {MOST_GROWTH / 2**20:.0f} MiB",
        growth < MOST_GROWTH,
    )


@contextmanager
def _clients(served: Served, body: bytes, scores: dict[str, tuple[int, list[float]]], asked: Asked) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=_ask, args=(served.port, body, scores, asked, stop)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask(
    port: int, body: bytes, scores: dict[str, tuple[int, list[float]]], asked: Asked, stop: threading.Event
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while not stop.is_set():
        try:
            begun = time.monotonic()
            connection.request("POST", "/score", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            asked.seconds.append(time.monotonic() - begun)
            if response.status != 200:
                raise http.client.HTTPException(f"{response.status} {content[:200]!r}")
            answer, header = json.loads(content), response.headers["X-Model-Version"]
        except (OSError, http.client.HTTPException) as error:
            asked.failures.append(repr(error))
            connection.close()
            continue
        asked.answers[header] += 1
        asked.latest = header
        if (answer["version"], answer["score"]) != scores.get(header):
            asked.mixed += 1
    connection.close()


def _p99(seconds: list[float]) -> float:
    """In milliseconds."""
    return 1000 * float(np.quantile(seconds, 0.99))


def _seen(identity: str, asked: Asked) -> bool:
    """Whether a bundle has answered, in the end."""
    deadline = time.monotonic() + PATIENCE_A_SWAP
    while asked.latest != identity and time.monotonic() < deadline:
        time.sleep(0.002)
    return asked.latest == identity
