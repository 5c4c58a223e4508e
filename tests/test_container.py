"""The image, built and run for real."""

import os
import re
import subprocess
import tomllib
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


def test_the_image_is_labelled_with_the_version_it_holds() -> None:
    """The version in the Dockerfile is the project's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f"ARG VERSION={project['version']}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
