"""A peer's own Python environment, made once and kept while its requirements stay the same."""

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.serving.peers import Peer
from benchmarks.serving.server import NotServed

PATIENCE = 900
"""Seconds that one installation may take."""


def python_for(peer: Peer, folder: Path) -> Path:
    """The interpreter that `peer` runs in; its environment is made under `folder`, by its first requirement's name.

    Raises:
        NotServed: its requirements cannot be installed here.
    """
    if not peer.requirements:
        return Path(sys.executable)
    home = folder.absolute() / re.split(r"[\[=]", peer.requirements[0])[0]
    python, stamp, wanted = home / "bin" / "python", home / "installed.txt", "\n".join(peer.requirements)
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"installing {', '.join(peer.requirements)}", file=sys.stderr, flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements])
        stamp.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotServed(f"its installation did not end in {PATIENCE} s") from error
    if done.returncode:
        raise NotServed(f"cannot be installed: {done.stderr.strip().splitlines()[-1]}")
