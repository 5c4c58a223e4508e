"""deploy/nginx.conf is a configuration that nginx takes, and its limits are the service's."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import trustme

from app.settings import Settings

CONFIGURATION = (Path(__file__).parents[1] / "deploy" / "nginx.conf").read_text(encoding="utf-8")


def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    """With a certificate where it expects one; nothing else of it is changed."""
    if shutil.which("nginx") is None:
        pytest.skip("needs nginx")
    certificate = trustme.CA().issue_cert("nelbo.example")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    file = tmp_path / "nginx.conf"
    file.write_text(CONFIGURATION.replace("/etc/nelbo", str(tmp_path)).replace("/run/nginx.pid", f"{tmp_path}/pid"))

    done = subprocess.run(["nginx", "-t", "-p", tmp_path, "-c", file], capture_output=True, text=True, check=False)

    assert (done.returncode, "[warn]" in done.stderr) == (0, False), done.stderr


def test_what_the_gateway_lets_through_is_what_the_service_takes() -> None:
    """A body that one refuses and the other takes is a surprise for whoever sends it."""
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", CONFIGURATION)
    (seconds,) = re.findall(r"client_body_timeout (\d+)s;", CONFIGURATION)

    assert int(megabytes) * 2**20 == Settings.model_fields["max_body_bytes"].default
    assert int(seconds) == Settings.model_fields["body_seconds"].default
