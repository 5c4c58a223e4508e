"""Nothing leaves the machine: from start to answer, and from table to bundle, every socket is a loopback one."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
LOCAL = re.compile(r"127\.|::1$|::ffff:127\.")
CALL = re.compile(r"\b(?:bind|connect|sendto|sendmsg|sendmmsg)\(.*AF_INET6?.*")
ADDRESS = re.compile(r'sin6?_port=htons\((\d+)\).*?(?:inet_addr\("|AF_INET6, ")([^"]+)"')
TRACER = ["strace", "--follow-forks", "--seccomp-bpf", "--quiet=all", "--trace=%network", "--signal=none"]
NAME_SERVICE = 53

# Brings up the loopback interface of the empty network that it is started in, where it may, and becomes the command.
LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as opened:
    try:
        fcntl.ioctl(opened, 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    except PermissionError:
        pass
os.execvp(sys.argv[1], sys.argv[1:])
"""

# Starts the service, asks it for a score and stops it.
SERVE_AND_ASK = """
import re, signal, subprocess, sys, urllib.request
command = [sys.executable, "-m", "app", "serve", "--models", sys.argv[1], "--port", "0"]
server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
address = next(found[0] for line in server.stderr if (found := re.search(r"http://[0-9.:]+", line)))
headers = {"Content-Type": "application/json"}
asked = urllib.request.Request(address + "/score", b'{"rows": [{"AT": 4.6, "AP": 1018.7}]}', headers)
print(urllib.request.urlopen(asked).read().decode())
server.send_signal(signal.SIGTERM)
server.stderr.read()
server.wait()
"""


@dataclass(frozen=True)
class Seen:
    """What a command did beside its work."""

    status: int
    printed: str
    addresses: frozenset[str]
    """Of the Internet, that a socket was bound or connected to, or something was sent to."""
    ports: frozenset[int]
    """Of these addresses."""
    sockets: int
    """Of the Internet, that were made."""
    at_home: tuple[Path, ...]
    """Files that it left in its home folder."""


@cache
def missing() -> str:
    """Why commands cannot be watched here; nothing where they can."""
    if shutil.which("strace") is None:
        return "needs strace"
    tried = subprocess.run([*TRACER, "--output=/dev/null", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "strace may not trace here"


@cache
def nowhere() -> list[str]:
    """The command before a command that gives it a network without anything in it; none where that is not permitted."""
    before = ["unshare", "--net"] if os.getuid() == 0 else ["unshare", "--net", "--map-root-user"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*before, "true"], capture_output=True, check=False).returncode
    ):
        return []
    return [*before, sys.executable, "-c", LOOPBACK_UP]


def watch(command: list[str], folder: Path) -> Seen:
    """Run a command in `folder` with a home of its own, in an empty network where there can be one, and watch it."""
    if reason := missing():
        pytest.skip(reason)
    home, trace = folder / "home", folder / "trace"
    home.mkdir()
    tracer = [*TRACER, f"--output={trace}"]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*nowhere(), *tracer, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    text = trace.read_text(errors="replace")
    found = [place for call in CALL.findall(text) for place in ADDRESS.findall(call)]
    return Seen(
        done.returncode,
        done.stdout + done.stderr,
        frozenset(address for _, address in found),
        frozenset(int(port) for port, _ in found),
        len(re.findall(r"\bsocket\(AF_INET", text)),
        tuple(sorted(file for file in home.rglob("*") if file.is_file())),
    )


def outside(seen: Seen) -> set[str]:
    """The addresses that are not this machine's."""
    return {address for address in seen.addresses if not LOCAL.match(address)}


def test_the_service_speaks_to_nobody_but_its_client(tmp_path: Path) -> None:
    """From start to answer: loopback sockets only, no name is asked for, and nothing is written at home."""
    seen = watch([sys.executable, "-c", SERVE_AND_ASK, str(ROOT / "models")], tmp_path)

    assert seen.status == 0, seen.printed
    assert '"score"' in seen.printed
    assert seen.sockets >= 2  # the server's and the client's: the trace is one
    assert outside(seen) == set()
    assert NAME_SERVICE not in seen.ports
    assert seen.at_home == ()


@pytest.mark.slow
def test_training_speaks_to_nobody(tmp_path: Path) -> None:
    """From a table to a bundle: no socket of the Internet at all, and nothing is written at home."""
    rows = np.random.default_rng(0).standard_normal((60, 2)).tolist()
    lines = ["temperature,pressure", *(f"{first:.4f},{second:.4f}" for first, second in rows)]
    (tmp_path / "plant.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "run.toml").write_text("steps = 2\nwidth = 0\ncomponents = 0\n", encoding="utf-8")

    seen = watch([sys.executable, "-m", "training", "plant.csv", "--name", "plant", "--config", "run.toml"], tmp_path)

    assert seen.status == 0, seen.printed
    assert (tmp_path / "models" / "plant" / "1" / "SHA256SUMS").is_file()
    assert seen.sockets == 0
    assert outside(seen) == set()
    assert seen.at_home == ()


@pytest.mark.parametrize(
    ("program", "address", "port"),
    [
        ("socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 53))", "192.0.2.1", 53),
        ("socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).connect_ex(('2001:db8::1', 443))", "2001:db8::1", 443),
    ],
)
def test_a_way_out_would_show(program: str, address: str, port: int, tmp_path: Path) -> None:
    """The tests above can fail: what is tried is seen, in a child too, though it gets nowhere; and so is a file."""
    child = f"import pathlib, socket; (pathlib.Path.home() / 'left').touch(); {program}"
    seen = watch(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"], tmp_path
    )

    assert outside(seen) == {address}
    assert port in seen.ports
    assert [file.name for file in seen.at_home] == ["left"]
