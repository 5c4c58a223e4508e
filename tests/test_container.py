"""The image, built and run for real."""

import json
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
import trustme

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

    assert outside.returncode == 0
    assert "Traceback" not in said


def health_check() -> list[str]:
    """The command by which the image tells whether it is well, in this interpreter."""
    joined = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", joined, flags=re.MULTILINE)
    assert found is not None
    python, *rest = json.loads(found[1])
    assert python == "python3"
    return [sys.executable, *rest]


@pytest.mark.parametrize("tls", [False, True], ids=["HTTP", "HTTPS"])
def test_the_health_check_knows_a_service_that_is_ready(tls: bool, tmp_path: Path) -> None:
    """It asks at the service's port, by HTTPS where that is what the service speaks; where nobody answers it fails."""
    environment = {**os.environ, "NELBO_DRAIN_SECONDS": "0"}
    if tls:
        issued = trustme.CA().issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(tmp_path / "key.pem")
        issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
        environment |= {"NELBO_TLS_KEY": str(tmp_path / "key.pem")}
        environment |= {"NELBO_TLS_CERTIFICATE": str(tmp_path / "certificate.pem")}
    command = [sys.executable, "-m", "app", "serve", "--models", "models", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as served:
        assert served.stderr is not None
        port = next(found[1] for line in served.stderr if (found := re.search(r"https?://[\d.]+:(\d+)", line)))
        environment["NELBO_PORT"] = port
        well = subprocess.run(health_check(), env=environment, capture_output=True, text=True, check=False)
        served.terminate()
        served.stderr.read()
    gone = subprocess.run(health_check(), env=environment, capture_output=True, text=True, check=False)

    assert (well.returncode, well.stderr) == (0, "")
    assert gone.returncode == 1


def test_the_image_is_labelled_with_the_version_it_holds() -> None:
    """The version in the Dockerfile is the project's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f"ARG VERSION={project['version']}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
