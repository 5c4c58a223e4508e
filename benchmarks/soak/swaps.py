"""Models that are put into place and taken away while they are asked, and bundles that are not what they were."""

import http.client
import json
import os
import resource
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from app import bundle
from app.errors import NelboError
from app.model import open_model
from app.settings import Settings
from benchmarks.serving.bundle import NAME, make, rows
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place, Served

SWAPS, SECONDS = 200, 60
PATIENCE_A_SWAP = 30
CLIENTS = 2
MOST_GROWTH = 4 * 2**20
MUTATIONS, SEALED = 2400, 400
"""How many bundles are mutated, and how many graphs of bundles that are sealed again."""
MOST_MEMORY = 8 * 2**30
"""Of a process that opens a mutated graph, which may ask for any number of bytes."""
PATIENCE = 600


@dataclass
class Asked:
    """What clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    """By the bundle that the header names."""
    latest: str = ""
    """The one that the last answer named."""
    mixed: int = 0
    failures: list[str] = field(default_factory=list)


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
        asked, resident = Asked(), []
        with _clients(served, json.dumps({"rows": row.tolist()}).encode(), scores, asked):
            started = time.monotonic()
            while len(resident) < SWAPS:
                here, there = (aside, root / NAME) if len(resident) % 2 == 0 else (root / NAME, aside)
                (here / "2").rename(there / "2")
                if not _seen(models[1 - len(resident) % 2].identity, asked):
                    break
                resident.append(served.resident_bytes())
            seconds = time.monotonic() - started
    total = asked.answers.total()
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
    begun, half = len(resident) // 4, len(resident) // 2
    growth = max(resident[half:], default=0) - max(resident[begun:half], default=0)
    yield Finding(
        "… growth of memory from the second quarter to the second half",
        f"{growth / 2**20:.1f} MiB",
        f"< {MOST_GROWTH / 2**20:.0f} MiB",
        growth < MOST_GROWTH,
    )


def mutations(place: Place) -> Iterator[Finding]:
    """Open bundles with a few bytes changed, each in a process that may crash."""
    names = sorted({*bundle.FILES, bundle.SUMS})
    source = place.models / NAME / "1"
    told = _outcomes(source, [(names[number % len(names)], number, False) for number in range(MUTATIONS)])
    yield Finding(
        f"{MUTATIONS} mutated bundles: refused", f"{told['refused']}", str(MUTATIONS), told["refused"] == MUTATIONS
    )
    yield Finding("… processes that crashed", str(told["crashed"]), "0", told["crashed"] == 0)
    told = _outcomes(source, [(bundle.GRAPHS[number % 5], number, True) for number in range(SEALED)])
    yield Finding(
        f"{SEALED} mutated graphs in bundles that were sealed again: crashed",
        f"{told['crashed']}; {told['refused']} refused, {told['opened']} proved",
        "0",
        told["crashed"] == 0,
    )


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """Cut short, longer, or with one byte or one bit of another value."""
    at, kind = int(random.integers(len(content))), int(random.integers(4))
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content + random.bytes(int(random.integers(1, 9)))
    changed = bytearray(content)
    changed[at] ^= 1 << int(random.integers(8)) if kind == 2 else int(random.integers(1, 256))
    return bytes(changed)


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
            connection.request("POST", "/score", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
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


def _seen(identity: str, asked: Asked) -> bool:
    """Whether a bundle has answered, in the end."""
    deadline = time.monotonic() + PATIENCE_A_SWAP
    while asked.latest != identity and time.monotonic() < deadline:
        time.sleep(0.002)
    return asked.latest == identity


def _outcomes(source: Path, work: list[tuple[str, int, bool]]) -> Counter[str]:
    """How many were opened, refused, or took their process with them."""
    told: Counter[str] = Counter()
    context = get_context("spawn")
    workers = len(os.sched_getaffinity(0))
    while work:
        with ProcessPoolExecutor(workers, context, _bound_memory) as pool:
            futures: dict[Future[str], tuple[str, int, bool]] = {
                pool.submit(_open_mutated, source, *piece): piece for piece in work
            }
            wait(futures, PATIENCE)
            lost = [piece for future, piece in futures.items() if not future.done() or _broken(future)]
            told.update(future.result() for future, piece in futures.items() if piece not in lost)
            if lost and len(lost) == len(work):
                told["crashed"] += 1
                lost = lost[workers:]
            elif lost:
                told["crashed"] += 1
            work = lost
    return told


def _broken(future: Future[str]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)


def _bound_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _open_mutated(source: Path, name: str, seed: int, sealed: bool) -> str:
    """What becomes of a bundle of which one file was changed; the others are the source's own."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / source.parent.name / source.name
        shutil.copytree(source, folder)
        content = mutated((source / name).read_bytes(), np.random.default_rng(seed))
        (folder / name).write_bytes(content)
        if sealed:
            lines = [f"{bundle.sha256(folder / file)}  {file}\n" for file in sorted(bundle.FILES)]
            (folder / bundle.SUMS).write_text("".join(lines), encoding="ascii")
        try:
            open_model(folder, Settings(device="cpu"))
        except NelboError:
            return "refused"
        return "opened"
