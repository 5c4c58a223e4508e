"""The whole line on a real table: train → bundle → serve → score, each as its own program."""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import httpx
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

TABLE = Path(os.environ.get("NELBO_DATA", "../shared/data")) / "gas-turbine" / "gas_turbine.csv"
CONFIG = "steps = 600\nwidth = 32\ncomponents = 20\n"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a real table of 4000 rows, or scikit-learn's where the gas turbine is absent, and a model of it."""
    folder = tmp_path_factory.mktemp("desk")
    if TABLE.is_file():
        with TABLE.open() as whole, (folder / "table.csv").open("w") as some:
            some.writelines(islice(whole, 4001))
    else:
        cancer = load_breast_cancer()
        with (folder / "table.csv").open("w", newline="") as some:
            csv.writer(some).writerows([cancer.feature_names, *cancer.data.tolist()])
    (folder / "run.toml").write_text(CONFIG)
    run(folder, "-m", "training", "table.csv", "--name", "real", "--config", "run.toml")
    return folder


def run(folder: Path, *arguments: str) -> str:
    """A program of ours, run in `folder` to a good end; what it printed."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def client(desk: Path) -> Iterator[httpx.Client]:
    """A client of `nelbo serve` in a process of its own."""
    command = [sys.executable, "-m", "app", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=desk, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        address = next(found[0] for line in server.stderr if (found := re.search(r"http://[\d.:]+", line)))
        with httpx.Client(base_url=address, timeout=30) as client:
            yield client
        server.terminate()
        server.stderr.read()


def table_rows(desk: Path) -> list[list[float]]:
    """The table's numbers."""
    return np.loadtxt(desk / "table.csv", delimiter=",", skiprows=1).tolist()


def test_the_service_and_the_command_line_give_the_same_scores(desk: Path, client: httpx.Client) -> None:
    """`POST /score` and `nelbo score` agree to the last digit, and about one row in a hundred alarms."""
    run(desk, "-m", "app", "score", "table.csv", "-o", "scored.csv")
    answer = client.post("/score", json={"rows": table_rows(desk)}).raise_for_status().json()

    with (desk / "scored.csv").open(newline="") as scored:
        rows = list(csv.DictReader(scored))
    assert [float(row["score"]) for row in rows] == answer["score"]
    assert [row["alarm"] == "true" for row in rows] == answer["alarm"]
    assert 0.001 < np.mean(answer["alarm"]) < 0.05


def test_a_broken_sensor_is_found_and_named(desk: Path, client: httpx.Client) -> None:
    """One sensor ten training scales off alarms, and most of the nats are its own."""
    model = client.get("/models/real").raise_for_status().json()
    row = table_rows(desk)[100]
    row[0] += 10 * model["sensors"][0]["scale"]

    answer = client.post("/score", json={"rows": [row], "explain": True}).raise_for_status().json()

    assert answer["alarm"] == [True]
    expected, scale = answer["expected_mean"][0][0], answer["expected_scale"][0][0]
    assert abs(row[0] - expected) > 3 * scale


def test_inspect_vouches_for_the_bundle_and_refuses_a_touched_one(desk: Path, tmp_path: Path) -> None:
    """A bundle as trained passes; with one byte of a graph changed it does not."""
    assert "real" in run(desk, "-m", "app", "inspect", "models/real/1")
    touched = Path(shutil.copytree(desk / "models" / "real" / "1", tmp_path / "real" / "1"))
    graph = bytearray((touched / "score.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (touched / "score.onnx").write_bytes(graph)

    refused = subprocess.run([sys.executable, "-m", "app", "inspect", str(touched)], capture_output=True, text=True)

    assert refused.returncode == 1
    assert "score.onnx: SHA-256" in refused.stderr
