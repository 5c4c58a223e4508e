"""Where a run stands, on disk: written beside the old one, synced, then put in its place."""

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from app.errors import NelboError
from app.unfinished import sync_folder
from training.descent import Descent


class CheckpointError(NelboError):
    """A checkpoint cannot be used; the text says why and what to do."""


@dataclass(frozen=True)
class Checkpoint:
    """The file that a run of one fingerprint (data, configuration, versions) may continue from."""

    file: Path
    fingerprint: str

    def write(self, stage: str, descent: Descent) -> None:
        """Keep the state of `stage`; a crash at any moment leaves either the old file or this one.

        Raises:
            CheckpointError: there is no room, or the file cannot be written; the old one stays.
        """
        # In memory first: torch does not say why a file could not be written.
        content = io.BytesIO()
        torch.save({"fingerprint": self.fingerprint, "stage": stage, "state": descent.state()}, content)
        fresh = self.file.with_suffix(".new")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("wb") as stream:
                stream.write(content.getbuffer())
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(self.file)
            sync_folder(self.file.parent)
        except OSError as error:
            raise CheckpointError(
                f"{self.file}: cannot be written: {error.strerror or error}; what was kept before is as it was, and "
                "the same command with --resume goes on from it"
            ) from error
        finally:
            fresh.unlink(missing_ok=True)

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
        CheckpointError: another run holds it, which is told by its process and its start; or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror or error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise CheckpointError(f"{folder}: another nelbo-train is writing this model: {lock.read()}") from error
        lock.truncate(0)
        with suppress(OSError):  # a full disk has no room for who holds it, and holds it all the same
            lock.write(f"process {os.getpid()}, since {datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}")
            lock.flush()
        yield
