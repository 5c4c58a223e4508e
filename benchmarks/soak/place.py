"""Where the checks run: a repository of models, a core for the server, and servers that come and go."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.server import ONE_THREAD, ROOT, START_SECONDS, NotServed

STOP_SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        """Of the process that was started; workers are its children."""
        return self.process.pid

    def resident_bytes(self) -> int:
        """What it holds in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def threads(self) -> int:
        """How many threads it has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def workers(self) -> list[int]:
        """The processes that answer, where they are several."""
        return workers_of(self.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send it a signal and wait; how many seconds it took to end."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(STOP_SECONDS)
        return time.monotonic() - started


@dataclass(frozen=True)
class Place:
    """What every check is given."""

    models: Path
    """A repository with the reference model of `benchmarks.serving` and the bundled one."""
    folder: Path
    """For files of a check's own."""
    core: int
    """Servers run on it; the load has the others."""

    @contextmanager
    def serve(self, module: str = "app", **environment: str) -> Iterator[Served]:
        """`module serve` on the place's core, with these settings; the reference model answers at the root.

        Raises:
            NotServed: it does not listen; the text is what it said last.
        """
        log = self.folder / f"server-{time.monotonic_ns()}.log"
        settings = {"NELBO_MODELS": str(self.models), "NELBO_MODEL": "reference", "NELBO_PORT": "0"}
        command = ["taskset", "--cpu-list", str(self.core), sys.executable, "-m", module, "serve"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | ONE_THREAD | settings | {"NELBO_DEVICE": "cpu"} | environment,
                stdout=output,
                stderr=output,
            )
        try:
            yield Served(process, _port(process, log), log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that a server's log says it listens at, once it answers there."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"listening at https?://\S+:(\d+)", log.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise NotServed(log.read_text(errors="replace")[-2000:])


def workers_of(process: int) -> list[int]:
    """The living children of a service, but for the one that multiprocessing keeps for itself."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children if _answers(child)]


def _answers(process: str) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False  # it has ended meanwhile
