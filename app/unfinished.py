"""Output that is not whole yet: a file beside OUT that takes its place at the end, and a journal of what of it is safe.

The file is synced before the journal says so, and the journal is written beside the old one, synced and put in its
place: killed at any moment, a run leaves rows that the next one can trust.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from app.errors import NelboError, TableError
from app.pieces import Place


@dataclass(frozen=True)
class Kept:
    """What the journal says."""

    identity: tuple[str, ...]
    """Everything that the output depends on; only a run of the same may go on."""
    place: Place
    """Where the rows begin whose scores are not safe."""
    length: int
    """Bytes of the file that are safe."""
    alarms: bytes
    """What --hold remembers of the rows before."""


class Unfinished:
    """The file, held by this process alone."""

    def __init__(self, stream: BinaryIO, path: Path, identity: tuple[str, ...]) -> None:
        """Read the journal, and cut off what it does not vouch for."""
        self._stream = stream
        self.path = path
        self._journal = path.with_suffix(".journal")
        self._identity = identity
        kept = self._read()
        fits = kept is not None and kept.identity == identity and kept.length <= os.fstat(stream.fileno()).st_size
        self.kept: Kept | None = kept if fits else None
        """What there is to go on from."""
        self.is_of_another_run: bool = kept is not None and not fits
        """Whether there was something that could not be used."""
        if not fits:  # gone for sure before rows of this run are where its own were
            self._journal.unlink(missing_ok=True)
            sync_folder(path.parent)
        stream.truncate(self.kept.length if self.kept else 0)

    def write(self, content: bytes) -> None:
        """Add to its end."""
        self._stream.write(content)

    def keep(self, place: Place, alarms: bytes) -> None:
        """Make safe what was written, which is of all rows before `place`."""
        self.sync()
        self.kept = Kept(self._identity, place, self._stream.tell(), alarms)
        fresh = self._journal.with_suffix(".new")
        with fresh.open("wb") as stream:
            stream.write(msgspec.json.encode(self.kept))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._journal)
        sync_folder(self.path.parent)

    def sync(self) -> None:
        """See that what was written is on disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def forget(self) -> None:
        """Remove file and journal, as far as they are there."""
        self._journal.unlink(missing_ok=True)
        self._journal.with_suffix(".new").unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _read(self) -> Kept | None:
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._journal.read_bytes(), type=Kept)
        return None


@contextmanager
def unfinished(out: Path, identity: tuple[str, ...]) -> Iterator[Unfinished]:
    """The unfinished output beside `out`; it stays where the run is cut short, and goes where it ends or is refused.

    Raises:
        TableError: `out` is no plain file or cannot be written, or another run is writing it.
    """
    target = out.resolve()
    if target.exists() and not target.is_file():
        raise TableError(f"{out}: not a plain file; without -o the rows go to stdout")
    path = target.with_name(f".{target.name}.partial")
    try:
        with _sole(path, out) as stream:
            partial = Unfinished(stream, path, identity)
            try:
                yield partial
            except NelboError:
                partial.forget()
                raise
            except BaseException:
                if partial.kept is None:
                    partial.forget()
                raise
            sync_folder(path.parent)  # the output is in its place before the journal goes
            partial.forget()
    except OSError as error:
        raise TableError(f"{out}: {error.strerror or error}") from error


def sync_folder(folder: Path) -> None:
    """See that the names in a folder are on disk as they are."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _sole(path: Path, out: Path) -> BinaryIO:
    """The file at `path`, made where it is not there, locked; the lock goes with the process, however it ends."""
    while True:
        stream = path.open("ab")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.close()
            raise TableError(f"{out}: another nelbo score is writing it") from error
        # A run that ended in the meantime has moved or removed the file that was opened here.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                return stream
        stream.close()
