"""Mixed traffic and swaps for ten minutes: memory, descriptors and threads stay, and a leak would be seen."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app import bundle
from benchmarks.serving.bundle import NAME, rows
from benchmarks.serving.wire import ROWS, V2, V2_BINARY, Post
from benchmarks.soak.client import Client
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place, Served

SECONDS, WARM_SECONDS, LEAKY_SECONDS = 600, 300, 120
SWAP_SECONDS = 5
CYCLE_SECONDS = 2 * SWAP_SECONDS
"""After which the folder is as it was: in half of them a second version is open, which takes as much memory again."""
LOAD = 0.7
"""Of the capacity for this mixture."""
LOOK_SECONDS = 3
"""Within which the server sees what is in its folder."""
WINDOW = 600
"""Seconds that a slope is told for."""
MOST_SLOPE = 2**20
BAD = 0.05
"""The share of requests that are refused, and of those whose client goes away."""


@dataclass(frozen=True)
class Sample:
    """What a server held at a moment, by its own count of seconds."""

    at: float
    resident: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Growth:
    """Bytes that memory grew by in `WINDOW` seconds, and the standard error of that."""

    slope: float
    error: float

    @property
    def least(self) -> float:
        """What it grew by at least, but for one chance in forty."""
        return self.slope - 2 * self.error

    def __str__(self) -> str:
        return f"{self.slope / 2**20:+.2f} ± {self.error / 2**20:.2f} MiB"


def memory(place: Place) -> Iterator[Finding]:
    """The real service, and one that leaks."""
    root = _root(place)
    with place.serve(NELBO_MODELS=str(root)) as served:
        samples, statuses = asyncio.run(_soak(served, SECONDS, root / NAME))
    grown = growth(samples, WARM_SECONDS)
    yield Finding(
        f"{SECONDS} s of mixed traffic and swaps at {LOAD:g} of capacity: memory, the last {SECONDS - WARM_SECONDS} s",
        f"{grown} in 10 min, {samples[-1].resident / 2**20:.0f} MiB",
        "< 1 MiB in 10 min",
        grown.slope < MOST_SLOPE,
    )
    calm, last = samples[0], samples[-1]
    found = f"{last.descriptors - calm.descriptors:+d} and {last.threads - calm.threads:+d}"
    kept = (last.descriptors, last.threads) == (calm.descriptors, calm.threads)
    yield Finding("the same: descriptors and threads when all have left", found, "as before", kept)
    strange = sorted(set(statuses) - {200, 400, 415, 422})
    yield Finding("the same: answers", f"{len(statuses)}, strange ones: {strange or 'none'}", "none", not strange)
    with place.serve(module="benchmarks.soak.leaky", NELBO_MODELS=str(root)) as served:
        samples, _ = asyncio.run(_soak(served, LEAKY_SECONDS, root / NAME))
    grown = growth(samples, LEAKY_SECONDS / 4)
    wanted = "≥ 1 MiB in 10 min, beyond chance"
    yield Finding("a service that leaks: memory", f"{grown} in 10 min", wanted, grown.least >= MOST_SLOPE)


def _root(place: Place) -> Path:
    """A repository of reference/1 and, in a folder that nobody looks at, the same as version 2."""
    root = place.folder / "soaked"
    first = bundle.read(place.models / NAME / "1")
    shutil.copytree(first.path, root / NAME / "1")
    shutil.copytree(first.path, root / NAME / ".2")
    bundle.seal(root / NAME / ".2", first.manifest.model_copy(update={"version": 2}))
    return root


async def _swap_for_ever(versions: Path) -> None:
    """Publish version 2 and take it back, again and again; in the end it is not there."""
    here, there = versions / ".2", versions / "2"
    try:
        while True:
            await asyncio.sleep(SWAP_SECONDS)
            here.rename(there)
            here, there = there, here
    finally:
        if (versions / "2").exists():
            (versions / "2").rename(versions / ".2")


async def _soak(served: Served, seconds: float, versions: Path) -> tuple[list[Sample], list[int]]:
    """Load the server for so long, taking samples; the first and the last while nobody is connected."""
    client, requests, statuses = Client(served.port), _mixture(), list[int]()
    rate = LOAD * await _capacity(client, requests)
    await _apart(client)
    samples = [_sample(served, -1)]
    generator, started = np.random.default_rng(0), time.monotonic()
    swaps = asyncio.create_task(_swap_for_ever(versions))
    tasks: set[asyncio.Task[None]] = set()
    while (now := time.monotonic() - started) < seconds:
        if now > len(samples):
            samples.append(_sample(served, now))
        request = requests[generator.integers(len(requests))]
        ask = _leave(served.port, request) if generator.random() < BAD else _note(client, request, statuses)
        task = asyncio.create_task(ask)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await asyncio.sleep(generator.exponential(1 / rate))
    swaps.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await swaps
    await asyncio.gather(*tasks)
    await _apart(client)
    await asyncio.sleep(LOOK_SECONDS)
    return [*samples, _sample(served, seconds)], statuses


async def _capacity(client: Client, requests: Sequence[bytes], seconds: float = 10) -> float:
    """Requests a second, eight at a time."""
    count, end = 0, time.monotonic() + seconds

    async def keep_asking(number: int) -> None:
        nonlocal count
        while time.monotonic() < end:
            await client.ask(requests[(number + count) % len(requests)], 0, 0)
            count += 1

    await asyncio.gather(*[keep_asking(number) for number in range(8)])
    return count / seconds


async def _apart(client: Client) -> None:
    client.close()
    await asyncio.sleep(1)


async def _note(client: Client, request: bytes, statuses: list[int]) -> None:
    statuses.append((await client.ask(request, 0, 0)).status)


async def _leave(port: int, request: bytes) -> None:
    """Send a part of a request, or all of it, and go away."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request[: max(20, len(request) // 2)])
        await asyncio.sleep(0.005)
        writer.close()


def _mixture() -> list[bytes]:
    """Questions of every kind and size, and some that are refused."""
    json = {"Content-Type": "application/json"}
    posts = [
        *[ROWS.put(verb, rows(count, seed=count)) for verb in ("/score", "/encode") for count in (1, 1, 16, 256)],
        ROWS.put("/reconstruct", rows(16, seed=3)),
        V2.put("/v2/models/reference/infer", rows(4, seed=4)),
        V2_BINARY.put("/v2/models/reference/infer", rows(64, seed=4)),
        Post("/sample", json, b'{"count": 10}'),
        Post("/score", json, b'{"rows": [[1, 2, 3, null, 5, 6, 7, 8]], "explain": true}'),
        Post("/score", json, b'{"rows": [[1, 2, "three"]]}'),
        Post("/score", json, b'{"rows": [[NaN]]}'),
        Post("/score", {"Content-Type": "text/csv"}, b"1,2,3"),
    ]
    return [post.message() for post in posts]


def _sample(served: Served, at: float) -> Sample:
    return Sample(at, served.resident_bytes(), served.descriptors(), served.threads())


def growth(samples: Sequence[Sample], after: float) -> Growth:
    """A straight line through the means of whole cycles from `after` on.

    One through the samples themselves would tell, by up to a MiB, whether a second version was open at its ends.
    """
    cycles: dict[int, list[int]] = {}
    for sample in samples[:-1]:  # the last is of when all have left
        if sample.at >= after:
            cycles.setdefault(int(sample.at // CYCLE_SECONDS), []).append(sample.resident)
    means = [np.mean(each) for each in cycles.values()]
    line, covariance = np.polyfit(list(cycles), means, 1, cov=True)
    return Growth(*(np.array([line[0], covariance[0, 0] ** 0.5]) * WINDOW / CYCLE_SECONDS).tolist())
