"""How a run ends before its time: interrupted, terminated, out of room or out of numbers, and what is kept then."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from training.checkpoint import Checkpoint
from training.export import ExportError
from training.fit import TrainingError

INTERRUPTED, TERMINATED = 130, 143
"""What a shell reports of a program that Ctrl-C or SIGTERM ended: 128 and the signal's number."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: it ends a run as Ctrl-C does."""


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """Have SIGTERM raise `Terminated`, so that what is half-made is put away."""

    def interrupt(signal_number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def keeping(checkpoint: Checkpoint) -> Iterator[None]:
    """Tell what is kept of a run that ends early.

    Raises:
        TrainingError: the same, and where the best before is kept.
        ExportError: the bundle could not be written.
    """
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint.file.exists():
            print(
                f"nelbo-train: interrupted; the best so far is kept in {checkpoint.file}. Go on with the same command "
                "and --resume; --resume --minutes 0 exports it as it is",
                file=sys.stderr,
            )
        raise
    except TrainingError as error:
        raise TrainingError(
            f"{error}. The best before is kept in {checkpoint.file}: --resume --minutes 0 exports it as it is"
        ) from error
    except OSError as error:
        raise ExportError(
            f"{error.filename or checkpoint.file.parent}: {error.strerror or error}; nothing was exported, and what "
            "was trained is kept: the same command with --resume exports it"
        ) from error
