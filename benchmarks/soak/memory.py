"""Mixed traffic for ten minutes: memory, descriptors and threads stay as they are, and a leak would be seen."""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.serving.bundle import rows
from benchmarks.serving.wire import ROWS, V2, V2_BINARY, Post
from benchmarks.soak.client import Client
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place, Served

SECONDS, WARM_SECONDS, LEAKY_SECONDS = 600, 120, 120
LOAD = 0.7
"""Of the capacity for this mixture."""
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


def memory(place: Place) -> Iterator[Finding]:
    """The real service, and one that leaks."""
    with place.serve() as served:
        samples, statuses = asyncio.run(_soak(served, SECONDS))
    slope = _slope(samples, WARM_SECONDS)
    yield Finding(
        f"{SECONDS} s of mixed traffic at {LOAD:g} of capacity: memory",
        f"{slope / 2**20:+.2f} MiB in 10 min, {samples[-1].resident / 2**20:.0f} MiB",
        "< 1 MiB in 10 min",
        slope < MOST_SLOPE,
    )
    calm, last = samples[0], samples[-1]
    found = f"{last.descriptors - calm.descriptors:+d} and {last.threads - calm.threads:+d}"
    kept = (last.descriptors, last.threads) == (calm.descriptors, calm.threads)
    yield Finding("the same: descriptors and threads when all have left", found, "as before", kept)
    strange = sorted(set(statuses) - {200, 400, 415, 422})
    yield Finding("the same: answers", f"{len(statuses)}, strange ones: {strange or 'none'}", "none", not strange)
    with place.serve(module="benchmarks.soak.leaky") as served:
        samples, _ = asyncio.run(_soak(served, LEAKY_SECONDS))
    slope = _slope(samples, LEAKY_SECONDS / 4)
    yield Finding("a service that leaks: memory", f"{slope / 2**20:+.1f} MiB in 10 min", "≥ 1 MiB", slope >= MOST_SLOPE)


async def _soak(served: Served, seconds: float) -> tuple[list[Sample], list[int]]:
    """Load the server for so long, taking samples; the first and the last while nobody is connected."""
    client, requests, statuses = Client(served.port), _mixture(), list[int]()
    rate = LOAD * await _capacity(client, requests)
    await _apart(client)
    samples = [_sample(served, -1)]
    generator, started = np.random.default_rng(0), time.monotonic()
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
    await asyncio.gather(*tasks)
    await _apart(client)
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


def _slope(samples: Sequence[Sample], after: float) -> float:
    """Bytes that memory grew by in `WINDOW` seconds, by a straight line through the samples from `after` on."""
    late = [sample for sample in samples if sample.at >= after]
    line = np.polyfit([sample.at for sample in late], [sample.resident for sample in late], 1)
    return float(line[0]) * WINDOW
