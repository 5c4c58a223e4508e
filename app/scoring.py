"""A table in, the same rows out with their scores, piece by piece: what `nelbo score` does."""

import sys
from collections.abc import Generator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import onnxruntime

from app.bar import bar
from app.columns import Wanted
from app.errors import TableError
from app.hold import Hold
from app.manifest import Manifest
from app.marks import Told
from app.model import Model
from app.parquet_work import open_parquet_source
from app.pieces import Place
from app.processes import Opening, keeping_patterns, score_in_order
from app.text_work import open_text_source
from app.unfinished import Unfinished, unfinished
from app.work import Part, Source

KEPT_EVERY = 1.0
"""Seconds of work that may be lost: making rows safe waits for the disk."""


@dataclass(frozen=True)
class Workers:
    """How much of the machine to score with."""

    count: int
    """Processes; with one, all is done in this one."""
    patience: float = 4.0
    """Seconds that the rest would take one process at least, for others to be started, which takes some."""


@dataclass(frozen=True)
class Job:
    """What was asked of a file."""

    file: Path
    wanted: Wanted
    hold: Hold
    """Which alarms to tell."""
    workers: Workers
    decimal: Told | None = None
    """The decimal mark of text whose cells do not prove it."""


def score_file(job: Job, out: Path | None, model: Model, opening: Opening) -> None:
    """Write the file's rows to `out` (stdout where it is None) with columns added: see `app.columns`.

    A run into a file that was cut short is gone on with when it is repeated; `out` is replaced when all is there.

    Raises:
        TableError: the file cannot be read or lacks a sensor, a name is taken already, or `out` cannot be written.
        InvalidContent: the false-alarm rate is outside what the held-out rows can vouch for.
    """
    model = keeping_patterns(model)
    with _open(job, out, model.manifest) as source:
        if out is None:
            _to_stdout(source, job, model, opening)
        else:
            _to_file(source, job, out, model, opening)


def _open(job: Job, out: Path | None, manifest: Manifest) -> AbstractContextManager[Source]:
    if job.file.suffix.lower() != ".parquet":
        return open_text_source(job.file, manifest, job.wanted, job.decimal)
    if out is None:
        raise TableError(f"{job.file}: the scores of a Parquet file go to a file; expected -o OUT")
    return open_parquet_source(job.file, manifest, job.wanted)


def _to_file(source: Source, job: Job, out: Path, model: Model, opening: Opening) -> None:
    with unfinished(out, _identity(job, model)) as partial:
        begin = _begin(source, job, out, partial)
        try:
            with (
                bar(source.extent, begin.offset, quiet=False) as shown,
                closing(_parts(source, begin, job.workers, model, opening)) as parts,
            ):
                due = monotonic()
                for part in parts:
                    partial.write(part.written(job.hold.over(part.alarm)))
                    if monotonic() >= due:
                        partial.keep(part.end, job.hold.remembered)
                        due = monotonic() + KEPT_EVERY
                    shown.tell(part.end.offset, len(part.alarm))
        except KeyboardInterrupt:
            if partial.kept:
                _tell(f"{out}: interrupted; the same command goes on from {_where(source, partial.kept.place)}")
            raise
        partial.sync()
        source.finish(partial.path, out.resolve())


def _begin(source: Source, job: Job, out: Path, partial: Unfinished) -> Place:
    """Where to go on, all being as it was there."""
    if partial.kept:
        job.hold.recall(partial.kept.alarms)
        _tell(f"{out}: going on from {_where(source, partial.kept.place)}, where an earlier run was cut short")
        return partial.kept.place
    if partial.is_of_another_run:
        _tell(f"{out}: what an earlier run left is of another input, model or options; starting anew")
    partial.write(source.head)
    return source.begin


def _where(source: Source, place: Place) -> str:
    return f"{source.extent.place} {place.line}"


def _to_stdout(source: Source, job: Job, model: Model, opening: Opening) -> None:
    try:
        # UTF-8 as the file that was read, whatever the terminal's locale.
        with (
            open(sys.stdout.fileno(), "wb", closefd=False) as stdout,
            bar(source.extent, source.begin.offset, quiet=stdout.isatty()) as shown,
            closing(_parts(source, source.begin, job.workers, model, opening)) as parts,
        ):
            before = source.head
            for part in parts:
                stdout.write(before + part.written(job.hold.over(part.alarm)))
                stdout.flush()
                shown.tell(part.end.offset, len(part.alarm))
                before = b""
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TableError(f"stdout: {error.strerror or error}") from error


def _parts(source: Source, begin: Place, workers: Workers, model: Model, opening: Opening) -> Generator[Part]:
    """Every piece scored, in order: by this process, and by others where there is enough for them."""
    work, begun = source.work(begin), monotonic()
    for piece in work:
        part = piece.score(model)
        yield part
        done, left = part.end.offset - begin.offset, source.extent.total - part.end.offset
        if workers.count > 1 and (monotonic() - begun) * left > workers.patience * done:
            yield from score_in_order(work, model, opening, workers.count)


def _identity(job: Job, model: Model) -> tuple[str, ...]:
    """Everything that a byte of the output may depend on."""
    file, about = job.file.resolve(), job.file.stat()
    read = (str(file), str(about.st_ino), str(about.st_size), str(about.st_mtime_ns))
    computed = (model.bundle.digest, model.engine.device, sys.version, np.__version__, onnxruntime.__version__)
    return (*read, *computed, repr(job.wanted), str(job.hold))


def _tell(sentence: str) -> None:
    print(f"nelbo: {sentence}", file=sys.stderr)
