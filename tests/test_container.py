"""The image, built and run for real."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_image_serves_hardened_and_small() -> None:
    """Read-only, without capabilities and as nobody, the image answers /score, ends by SIGTERM and stays small."""
    tool = ROOT / os.environ.get("NELBO_CONTAINER", "../shared/tools/container")
    if not os.access(tool, os.X_OK):
        pytest.skip(f"needs the tool that builds and runs images, {tool} (set NELBO_CONTAINER)")
    if os.getuid() != 0:
        pytest.skip("needs root, to build and run images without a daemon")

    done = subprocess.run([ROOT / "deploy" / "container-check"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r"ok: size \d+ MB", done.stdout)


def test_the_first_process_of_a_container_heeds_sigterm() -> None:
    """As process 1, for which the kernel ignores signals that nobody handles, the service ends by SIGTERM, with 0."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a process 1")
    command = [*alone, sys.executable, "-m", "app", "serve", "--models", "models", "--port", "0"]
    environment = {**os.environ, "NELBO_DRAIN_SECONDS": "0"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as outside:
        assert outside.stderr is not None
        address = next(found[0] for line in outside.stderr if (found := re.search(r"http://[\d.:]+", line)))
        with urllib.request.urlopen(f"{address}/health/ready", timeout=60) as answer:
            assert answer.status == 200
        (served,) = Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split()
        os.kill(int(served), signal.SIGTERM)
        said = outside.stderr.read()

    assert (outside.returncode, said) == (0, "")


def test_the_image_is_labelled_with_the_version_it_holds() -> None:
    """The version in the Dockerfile is the project's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f"ARG VERSION={project['version']}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
