"""onnxruntime reports to its maker by default; imported through app it is silent."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Imports onnxruntime, waits for what it starts in the background, and tells every socket open then.
PROGRAM = """
import os, time
{imports}
time.sleep({seconds})
targets = []
for fd in os.listdir("/proc/self/fd"):
    try:
        targets.append(os.readlink("/proc/self/fd/" + fd))
    except FileNotFoundError:
        pass
print(len(os.listdir("/proc/self/task")), sum(target.startswith("socket:") for target in targets))
"""


def run(home: Path, imports: str, seconds: float) -> tuple[int, int, list[Path]]:
    """Threads and sockets of a program, and the files that it left in its home."""
    home.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1"}
    program = PROGRAM.format(imports=imports, seconds=seconds)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    threads, sockets = map(int, done.stdout.split())
    return threads, sockets, sorted(file for file in home.rglob("*") if file.is_file())


def test_serving_writes_nothing_home_and_opens_no_socket(models: Path, tmp_path: Path) -> None:
    """After a bundle was opened and proved there is one thread, no socket, and no file in the home folder."""
    imports = (
        "from pathlib import Path; from app.model import open_model; from app.settings import Settings\n"
        f"open_model(Path({str(models / 'plant' / '1')!r}), Settings(device='cpu'))"
    )

    assert run(tmp_path / "home", imports, seconds=3) == (1, 0, [])


def test_telemetry_would_show(tmp_path: Path) -> None:
    """The test above can fail: without the variable, onnxruntime starts a thread and leaves files at home."""
    threads, _, files = run(tmp_path / "home", "import onnxruntime", seconds=3)

    assert threads > 1
    assert files
