"""Where a run stands, on disk: written beside the old one, synced, then put in its place."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from app.errors import NelboError
from training.descent import Descent


class CheckpointError(NelboError):
    """A checkpoint cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """The file that a run of one fingerprint (data, configuration, versions) may continue from."""

    file: Path
    fingerprint: str

    def write(self, stage: str, descent: Descent) -> None:
        """Keep the state of `stage`; a crash at any moment leaves either the old file or this one."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.file.with_suffix(".new")
        with fresh.open("wb") as stream:
            torch.save({"fingerprint": self.fingerprint, "stage": stage, "state": descent.state()}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self.file)

    def read(self) -> tuple[str, dict[str, Any]]:
        """The stage and the state kept last.

        Raises:
            CheckpointError: there is none, it does not read, or it is of other data, configuration or versions.
        """
        if not self.file.exists():
            raise CheckpointError(f"{self.file}: there is no checkpoint to resume from; train without --resume")
        try:
            kept = torch.load(self.file, weights_only=True)
        except Exception as error:  # torch raises what pickle, zipfile and its own reader raise
            raise CheckpointError(f"{self.file}: not a checkpoint that reads: {error}") from error
        if kept["fingerprint"] != self.fingerprint:
            raise CheckpointError(
                f"{self.file}: kept for other data, configuration, versions or threads; expected what this run has. "
                "Repeat the first command with --resume, or train without it"
            )
        return kept["stage"], kept["state"]

    def remove(self) -> None:
        """Forget it: the run has ended."""
        self.file.unlink(missing_ok=True)


@contextmanager
def sole_run(folder: Path) -> Iterator[None]:
    """Hold `folder` for one run; the lock goes with the process, however it ends.

    Raises:
        CheckpointError: another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CheckpointError(f"{folder}: another nelbo-train is writing this model") from error
        yield
