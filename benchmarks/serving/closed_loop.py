"""A closed loop: so many connections, each with one request under way at any time. wrk makes the load."""

import json
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.server import NotServed
from benchmarks.serving.wire import Post

SCRIPT = Path(__file__).with_name("post.lua")
PATIENCE = 20
"""Seconds after which wrk counts a request as failed."""


@dataclass(frozen=True)
class Closed:
    """What wrk saw."""

    rate: float
    """Requests a second that were answered, with 2xx or not."""
    p50: float
    p99: float
    """Seconds."""
    failed: int
    """Answers that were not 2xx, and requests without any."""
    load: float
    """The share of a core that wrk itself took."""


def closed_loop(port: int, post: Post, connections: int, seconds: int) -> Closed:
    """Ask the same again and again for so many whole seconds.

    Raises:
        NotServed: wrk is not installed, or saw no answer at all.
    """
    if shutil.which("wrk") is None:
        raise NotServed("wrk is not installed; on Debian: apt-get install wrk")
    with tempfile.NamedTemporaryFile() as body:
        body.write(post.body)
        body.flush()
        headers = [f"{name}: {value}" for name, value in post.headers.items()]
        url = f"http://127.0.0.1:{port}{post.path}"
        size = ["--threads", "1", "--connections", str(connections), "--duration", str(seconds)]
        command = ["wrk", *size, "--timeout", str(PATIENCE), "--script", str(SCRIPT), url, "--", body.name, *headers]
        before, started = _children_seconds(), time.monotonic()
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        load = (_children_seconds() - before) / (time.monotonic() - started)
    seen = json.loads(told.splitlines()[-1])
    if not seen["requests"]:
        raise NotServed(f"no answer in {seconds} s to {connections} connections")
    rate = seen["requests"] / seen["duration"] * 1e6
    return Closed(rate, seen["p50"] / 1e6, seen["p99"] / 1e6, seen["failed"], load)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
