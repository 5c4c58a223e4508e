"""More requests than can be computed: what is taken is answered, the rest is refused at once, and it passes."""

import asyncio
import gc
import http.client
import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.serving.bundle import rows
from benchmarks.serving.closed_loop import closed_loop
from benchmarks.serving.wire import ROWS, Post
from benchmarks.soak.client import Client, Seen
from benchmarks.soak.finding import Finding
from benchmarks.soak.place import Place

ROWS_A_REQUEST = 256
TIMES = (0.8, 2, 5, 10)
"""Of the capacity, that is offered."""
SECONDS, AFTER_SECONDS = 15, 6
CAPACITY_SECONDS = 5
"""It is measured right before and right after each load: a machine that others share does not stay the same."""
CALM = 0.4
"""Of the capacity, that is offered before and after."""
LEAST_GOODPUT = 0.8
MOST_REFUSAL_SECONDS, MOST_PROBE_SECONDS, MOST_RECOVERY_SECONDS = 0.02, 0.1, 2.0
PROBE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
PROBE_EVERY = 0.1


def overload(place: Place) -> Iterator[Finding]:
    """Offer 0.8 to 10 times what the server can do, and look how it fares."""
    post = ROWS.put("/score", rows(ROWS_A_REQUEST, seed=5))
    with place.serve() as served:
        closed_loop(served.port, post, 8, 2)
        capacity = closed_loop(served.port, post, 16, CAPACITY_SECONDS).rate
        calm, _ = asyncio.run(_offer(served.port, post, CALM * capacity, AFTER_SECONDS))
        for times in TIMES:
            before = closed_loop(served.port, post, 16, CAPACITY_SECONDS).rate
            seen, probes = asyncio.run(_offer(served.port, post, times * before, SECONDS))
            time.sleep(MOST_RECOVERY_SECONDS)
            capacity = (before + closed_loop(served.port, post, 16, CAPACITY_SECONDS).rate) / 2
            yield from _judged(times, capacity, seen, probes)
        after, _ = asyncio.run(_offer(served.port, post, CALM * capacity, AFTER_SECONDS))
        yield _recovery(calm, after)
    yield from gone(place)


async def _offer(port: int, post: Post, rate: float, seconds: float) -> tuple[list[Seen], list[Seen]]:
    """What became of the requests, and of probes beside them."""
    client, probes = Client(port), Client(port)
    gc.disable()  # a collection among so many tasks would stop the clock of all that are under way
    over = asyncio.Event()
    probing = asyncio.create_task(_probe(probes, over))
    seen = await client.offer(post, rate, seconds, seed=1)
    over.set()
    found = await probing
    gc.enable()
    client.close()
    probes.close()
    return seen, found


async def _probe(client: Client, over: asyncio.Event) -> list[Seen]:
    seen = []
    while not over.is_set():
        now = asyncio.get_running_loop().time()
        seen.append(await client.ask(PROBE, now, now))
        await asyncio.sleep(PROBE_EVERY)
    return seen


def _judged(times: float, capacity: float, seen: Sequence[Seen], probes: Sequence[Seen]) -> Iterator[Finding]:
    load = f"{times:g} × {capacity:.0f} requests/s of {ROWS_A_REQUEST} rows"
    other = sorted({each.status for each in seen} - {200, 503})
    yield Finding(f"{load}: answers", f"{len(seen)}, others than 200 and 503: {other or 'none'}", "none", not other)
    answered = sum(each.status == 200 for each in seen)
    goodput = answered / (max(each.at + each.waited for each in seen if each.status == 200) * capacity)
    if times > 1:
        yield Finding(
            f"{load}: goodput",
            f"{goodput:.2f} of capacity",
            f"≥ {LEAST_GOODPUT}",
            goodput >= LEAST_GOODPUT,
        )
    refused = [each.took for each in seen if each.status == 503]
    if refused:
        p99 = float(np.quantile(refused, 0.99))
        wanted = f"≤ {1000 * MOST_REFUSAL_SECONDS:g} ms"
        yield Finding(f"{load}: p99 of a refusal", f"{1000 * p99:.1f} ms", wanted, p99 <= MOST_REFUSAL_SECONDS)
    p99 = float(np.quantile([each.took for each in probes], 0.99))
    healthy = p99 <= MOST_PROBE_SECONDS and all(each.status == 200 for each in probes)
    wanted = f"≤ {1000 * MOST_PROBE_SECONDS:g} ms"
    yield Finding(f"{load}: p99 of /health/live", f"{1000 * p99:.1f} ms of {len(probes)}", wanted, healthy)


def _recovery(calm: Sequence[Seen], after: Sequence[Seen]) -> Finding:
    """How long after the load it is until nothing takes longer than twice the calm p99, refusals included."""
    usual = 2 * float(np.quantile([each.waited for each in calm], 0.99))
    slow = [each.at for each in after if each.waited > usual or each.status != 200]
    # one in a hundred is slow in a calm too
    late = sorted(slow)[: len(slow) - len(after) // 100] if len(slow) > len(after) // 100 else []
    recovered = max(late, default=0.0)
    wanted = f"≤ {MOST_RECOVERY_SECONDS:g} s"
    return Finding("after the overload: recovery", f"{recovered:.1f} s", wanted, recovered <= MOST_RECOVERY_SECONDS)


def gone(place: Place, clients: int = 2000, least: float = 0.9) -> Iterator[Finding]:
    """Clients that ask for much and go away while one is served: what they asked is not computed."""
    request = ROWS.put("/score", rows(2048, seed=6)).message()
    with place.serve() as served:
        asyncio.run(_storm(served.port, request, clients))
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
        connection.request("GET", "/metrics")
        counted = connection.getresponse().read().decode()
        connection.close()
    computed = sum(
        float(line.rpartition(" ")[2]) for line in counted.splitlines() if line.startswith("nelbo_rows_total{")
    )
    dropped = 1 - computed / (2048 * clients)
    yield Finding(
        f"{clients} clients that leave at once: not computed", f"{dropped:.3f}", f"≥ {least}", dropped >= least
    )


async def _storm(port: int, request: bytes, clients: int) -> None:
    async def leave() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.close()

    for _ in range(0, clients, 50):
        await asyncio.gather(*[leave() for _ in range(50)], return_exceptions=True)
