"""The OpenAPI document and the service, held against each other by schemathesis with all of its checks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.test_main import port_of, start

CONFIG = Path(__file__).with_name("contract.toml")


@pytest.mark.slow
def test_the_service_does_as_it_is_documented(models: Path, tmp_path: Path) -> None:
    """What its schemas allow is answered, and all else refused, with documented statuses, media types and bodies."""
    log = tmp_path / "log"
    process = start(models, log)
    try:
        address = f"http://127.0.0.1:{port_of(process, log)}/openapi.json"
        schemathesis = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", address]
        limits = ["--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "1", "--no-color"]
        told = subprocess.run([*schemathesis, *limits], cwd=tmp_path, capture_output=True, text=True, timeout=600)
    finally:
        process.terminate()
        process.wait(30)

    assert told.returncode == 0, told.stdout + told.stderr
    assert "No issues found" in told.stdout
