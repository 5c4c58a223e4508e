"""A bundle's first opening, in a process of its own: a graph may bring onnxruntime down, but not the service with it.

What a graph may hold is limited, and still onnxruntime divides the least integer by -1 where it is told to, which ends
a process. Who dies of a bundle here is missed by nobody; whether it is a good one is seen when the service opens it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from app import bundle
from app.errors import BundleError, NelboError, SettingsError
from app.folder import Address, Look
from app.model import open_model
from app.pool import NICE
from app.settings import Settings
from app.stock import Stock, refused

GIVING_WAY = f"import os, sys; os.nice({NICE}); from app.trial import main; main(sys.argv[1:])"
"""What the process runs: it comes after those that answer, from its first import on."""
MOST_SECONDS = 60
"""How long opening a bundle may take, which is many times what it does take."""


class _Unknown(NamedTuple):
    """A bundle that nobody here has opened."""

    address: Address
    path: Path
    digest: str


def tried(before: Stock, seen: Look, settings: Settings) -> Stock:
    """The same stock, in which what is new in the folder is refused where it ends a process or holds it up.

    Raises:
        SettingsError: no process can be started.
    """
    unknown = list(_unknown(before, seen, settings))
    harmful = {
        each.address: refused(each.address, BundleError(each.path, f"a process that opens it {end}"), before)
        for each, end in _harmful(unknown, settings)
    }
    harmless = {each.digest for each in unknown if each.address not in harmful}
    return before.after_trial(seen, harmful, harmless)


def _unknown(before: Stock, seen: Look, settings: Settings) -> Iterator[_Unknown]:
    """What is new and would be opened; a bundle whose files are not what they are to be is not."""
    for address, stamp in seen.bundles.items():
        if before.look.bundles.get(address) != stamp and address.name not in before.unloaded:
            path = settings.models / str(address)
            with suppress(BundleError, OSError):
                if bundle.sha256(path / bundle.SUMS) not in before.harmless:
                    yield _Unknown(address, path, bundle.read(path).digest)


def _harmful(unknown: Sequence[_Unknown], settings: Settings) -> Iterator[tuple[_Unknown, str]]:
    """Those that do not let a process end well, and how it ends: all are tried together and, if need be, one by one."""
    if unknown and _end([each.path for each in unknown], settings):
        for each in unknown:
            if end := _end([each.path], settings):
                yield each, end


def _end(folders: Sequence[Path], settings: Settings) -> str:
    """How a process that opens these bundles ends; empty where it ends well."""
    # Without -P a folder `app` where the service was started would be taken for ours.
    command = [sys.executable, "-P", "-c", GIVING_WAY, settings.device, *map(str, folders)]
    path = os.pathsep.join(filter(None, sys.path))
    try:
        # In a session of its own, since Ctrl-C would look like a bundle's fault.
        ended = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            timeout=MOST_SECONDS * len(folders),
            check=False,
            start_new_session=True,
        )
    except OSError as error:
        raise SettingsError(
            f"{sys.executable}: no bundle can be tried, for it does not start: {error.strerror}"
        ) from error
    except subprocess.TimeoutExpired:
        return f"is not done after {MOST_SECONDS} seconds"
    if ended.returncode < 0:
        return f"is ended by {signal.Signals(-ended.returncode).name}"
    return f"ends with {ended.returncode}" if ended.returncode else ""


def main(arguments: Sequence[str]) -> None:
    """Open bundles, `DEVICE FOLDER…`; why one is refused is for the service to say."""
    device, *folders = arguments
    settings = Settings.model_validate({"device": device})
    for folder in folders:
        with suppress(NelboError):
            open_model(Path(folder), settings)
