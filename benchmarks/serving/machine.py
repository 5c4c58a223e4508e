"""What the numbers were measured on and with."""

import importlib.metadata
import os
import platform
import subprocess

from benchmarks.processor import processor
from benchmarks.serving.peers import Peer
from benchmarks.serving.server import ROOT

OURS = (
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "onnxruntime",
    "numpy",
    "pydantic",
    "msgspec",
    "orjson",
)


def facts(peers: tuple[Peer, ...], repeats: int, seconds: int) -> list[str]:
    """The machine, the versions of every server and how it was measured, as lines of Markdown."""
    ours = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in OURS)
    others = [f"- {peer.key}: {', '.join(peer.requirements)}" for peer in peers if peer.requirements]
    return [
        f"- {processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        f"- nelbo and bare uvicorn: commit {_commit()}, {ours}",
        *others,
        f"- one core for the server, another for the load; medians of {repeats} repeats of {seconds} s (least-most)",
    ]


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "unknown"
