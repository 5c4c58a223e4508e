"""What is counted of requests, and how processes share it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import prometheus_client
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from app.backlog import Backlog
from app.histogram import Histogram
from app.main import create_app
from app.metrics import Metrics
from app.settings import Settings
from tests.app.test_main import ROOT, port_of, start
from tests.app.test_routes import USUAL
from tests.app.test_workers import ROW, ask

BUCKETS = (0.1, 1.0, 10.0)


@given(st.lists(st.one_of(st.sampled_from(BUCKETS), st.floats(0, 100))))
def test_values_that_are_kept_count_like_those_that_are_observed(values: list[float]) -> None:
    """In the same buckets, on their bounds too, once they are settled."""
    registries = (CollectorRegistry(), CollectorRegistry())
    kept = Histogram("h", "H.", buckets=BUCKETS, registry=registries[0])
    observed = prometheus_client.Histogram("h", "H.", buckets=BUCKETS, registry=registries[1])
    for value in values:
        kept.keep(value)
        observed.observe(value)
    kept.settle()
    kept.settle()

    for name, labels in (("h_bucket", {"le": "0.1"}), ("h_bucket", {"le": "+Inf"}), ("h_count", {}), ("h_sum", {})):
        found, expected = (registry.get_sample_value(name, labels) for registry in registries)
        assert found == pytest.approx(expected)


def test_a_histogram_with_labels_settles_each() -> None:
    """And takes many values at once."""
    registry = CollectorRegistry()
    histogram = Histogram("h", "H.", ["verb"], buckets=BUCKETS, registry=registry)
    histogram.labels("a").keep(0.5)
    histogram.labels("b").observe_all(np.array([0.05, 5.0]))
    histogram.settle()

    assert registry.get_sample_value("h_count", {"verb": "a"}) == 1
    assert registry.get_sample_value("h_bucket", {"verb": "b", "le": "1.0"}) == 1


def test_stages_and_batches_are_counted(settings: Settings) -> None:
    """A question is decoded, waits, a long one to be read too, and is encoded; graphs run with the rows of several."""
    with TestClient(create_app(settings)) as client:
        client.post("/score", json={"rows": [USUAL] * 3})
        client.post("/score", json={"rows": [USUAL] * 300})
        client.post("/score", json={"rows": [[None, *USUAL[1:]]] * 2, "explain": True})
        client.post("/score", json={"rows": [USUAL] * 5000})
        client.post("/score", json={"rows": [[1.0]]})
        told = client.get("/metrics").text

    assert 'nelbo_stage_seconds_count{stage="decode"} 4.0' in told
    assert 'nelbo_stage_seconds_count{stage="queue"} 5.0' in told
    assert 'nelbo_stage_seconds_count{stage="compute"} 4.0' in told
    assert 'nelbo_stage_seconds_count{stage="encode"} 4.0' in told
    assert "nelbo_batch_rows_sum 5305.0" in told
    assert 'nelbo_batch_rows_bucket{le="4.0"} 2.0' in told


def test_refusals_are_counted_by_their_code(settings: Settings) -> None:
    """Requests and lines of streams; what is answered is none."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        client.post("/score", json={"rows": [[1.0]]})
        client.post("/score", content="[1]\n{\n[2]\n", headers={"Content-Type": "application/x-ndjson"})
        client.post("/v2/models/plant/infer", content=b"[]")
        client.get("/no/such/address")
        client.get("/models")
        told = client.get("/metrics").text

    assert 'nelbo_refusals_total{reason="dimension-mismatch"} 3.0' in told
    assert 'nelbo_refusals_total{reason="invalid-json"} 1.0' in told
    assert 'nelbo_refusals_total{reason="shape"} 1.0' in told
    assert 'nelbo_refusals_total{reason="not-found"} 1.0' in told
    assert told.count("nelbo_refusals_total{") == 4


def test_what_is_in_hand_is_told(settings: Settings) -> None:
    """The scrape itself is a request that is being answered; what waits is told by where it does."""
    with TestClient(create_app(settings)) as client:
        client.post("/score", json={"rows": [USUAL]})
        told = client.get("/metrics").text
    assert "nelbo_requests_in_flight 1.0" in told
    assert 'nelbo_waiting_questions{where="threads"} 0.0' in told

    async def busy() -> str:
        metrics, backlog = Metrics(), Backlog(1.5)
        async with metrics.settled_regularly({"loop": backlog}):
            backlog.add(0.5)
            backlog.add(0.25)
            return metrics.exposition().decode()

    told = asyncio.run(busy())
    assert 'nelbo_waiting_questions{where="loop"} 2.0' in told
    assert 'nelbo_waiting_seconds{where="loop"} 0.75' in told


def test_what_runs_is_told(client: TestClient) -> None:
    """The versions of nelbo, onnxruntime and Python."""
    (line,) = [line for line in client.get("/metrics").text.splitlines() if line.startswith("nelbo_build_info{")]

    assert line.endswith(" 1.0")
    assert all(f'{name}="' in line for name in ("version", "onnxruntime", "python"))


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that answer."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def scrape(port: int, wanted: bytes) -> str:
    """What the workers tell once it holds what is wanted: one tells soon what another has kept."""
    deadline = time.monotonic() + 20
    while wanted not in (told := ask(port, "GET", "/metrics")):
        assert time.monotonic() < deadline, told.decode()
        time.sleep(0.05)
    return told.decode()


def test_a_dead_worker_s_counts_stay_and_what_it_had_in_hand_goes(models: Path, tmp_path: Path) -> None:
    """Rows, p-values and what the drift remembers are added up over workers; the folder goes with the service."""
    process = start(models, tmp_path / "log", NELBO_WORKERS="2", TMPDIR=str(tmp_path))
    try:
        port = port_of(process, tmp_path / "log")
        for _ in range(20):
            ask(port, "POST", "/score", ROW)
        scrape(port, b'nelbo_p_value_count{model="plant",version="2"} 20.0')
        scrape(port, b"nelbo_requests_in_flight 1.0")
        workers = workers_of(process)
        held = HTTPConnection("127.0.0.1", port, timeout=60)  # half a request is in the hands of a worker that dies
        held.putrequest("POST", "/score")
        held.putheader("Content-Type", "application/json")
        held.putheader("Content-Length", "1000")
        held.endheaders(b"{")
        scrape(port, b"nelbo_requests_in_flight 2.0")
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        told = scrape(port, b"nelbo_requests_in_flight 1.0")

        assert 'nelbo_p_value_count{model="plant",version="2"} 20.0' in told
        assert 'nelbo_rows_total{verb="score"} 20.0' in told
        (folder,) = tmp_path.glob("nelbo-metrics-*")
        assert sum(file.stat().st_blocks * 512 for file in folder.iterdir()) < 2**20
        held.close()
    finally:
        process.terminate()
        assert process.wait(30) == 0
    assert not [*tmp_path.glob("nelbo-metrics-*")]


COUNTING = """
import sys
from app.metrics import Metrics
Metrics().count_rows("score", 1)
print("counted", flush=True)
sys.stdin.read()
"""


def test_who_comes_goes_on_in_the_files_of_who_went(tmp_path: Path) -> None:
    """There are as many as there were processes at once, however many there were one after another."""

    def begin() -> subprocess.Popen[bytes]:
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        command = [sys.executable, "-c", COUNTING]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"counted\n"
        return process

    for together in (1, 2, 2):
        for process in [begin() for _ in range(together)]:
            process.kill()
            process.communicate()
    whole = CollectorRegistry()
    MultiProcessCollector(whole, str(tmp_path))  # type: ignore[no-untyped-call]

    assert {file.name for file in tmp_path.glob("counter_*")} == {"counter_0.db", "counter_1.db"}
    assert whole.get_sample_value("nelbo_rows_total", {"verb": "score"}) == 5
