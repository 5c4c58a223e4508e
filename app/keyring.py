"""The keys that open a service, as they are now."""

import hmac
import logging
import stat
import time
from pathlib import Path

from app.errors import SettingsError
from app.keys import Key, digest, read_keys
from app.settings import Settings

LOOKED_AT_EVERY = 1.0
"""Seconds between two looks at the file: a look takes as long as some hashes, and a second is soon enough."""
MOST_BYTES = 2**20
"""Of the file; it is read between two requests."""

log = logging.getLogger("nelbo.keys")


class Keyring:
    """The keys of the environment, and those of a file that is read again when it has changed.

    A file that cannot be read any more leaves the keys as they were, and is told in the log once: half of a file must
    not lock a plant out. It is looked at when a key is, so that no thread is needed, and none can stop.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the keys.

        Raises:
            SettingsError: naming the setting, and the line where one is wrong.
        """
        self._lines = settings.keys
        self._file = settings.keys_file
        self._stamp = _stamp(self._file)
        self._look_at = time.monotonic() + LOOKED_AT_EVERY
        self._keys = self._read()
        log.info("the keys are those of %s", self)

    def __str__(self) -> str:
        """Whose they are, for the log."""
        return ", ".join(f"{key.name} ({', '.join(sorted(key.scopes))})" for key in self._keys)

    def find(self, secret: bytes) -> Key | None:
        """The key that this is, or None.

        Every key is compared, each in a time that does not depend on what is sent, so that time tells nothing of which
        one was nearly right; it is digests that are compared, which no guess can steer.
        """
        if time.monotonic() >= self._look_at:
            self.look()
        found, sent = None, digest(secret)
        for key in self._keys:
            if hmac.compare_digest(key.digest, sent):
                found = key
        return found

    def look(self) -> None:
        """Read the file again if it is another one, or another in size or time, than when it was looked at last."""
        self._look_at = time.monotonic() + LOOKED_AT_EVERY
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = self._read()
        except SettingsError as error:
            log.error("the keys stay as they were: %s", error)
        else:
            log.info("the keys are now those of %s", self)

    def _read(self) -> tuple[Key, ...]:
        keys: tuple[Key, ...] = ()
        if self._lines is not None:
            keys += read_keys(self._lines.get_secret_value().replace(";", "\n"), "NELBO_KEYS")
        if self._file is not None:
            keys += read_keys(_text(self._file), f"NELBO_KEYS_FILE: {self._file}")
        if len({key.digest for key in keys}) < len(keys):
            raise SettingsError("NELBO_KEYS, NELBO_KEYS_FILE: two lines are of the same key; expected one for each")
        return keys


def _stamp(file: Path | None) -> tuple[int, ...] | None:
    """What tells a file from what it was: it changes when the file is replaced, and when it is written."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return found and (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _text(file: Path) -> str:
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            raise SettingsError(f"NELBO_KEYS_FILE: {file}: expected a file of at most {MOST_BYTES} bytes")
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"NELBO_KEYS_FILE: {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"NELBO_KEYS_FILE: {file}: not a text in UTF-8") from error
