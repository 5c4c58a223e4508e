"""API keys: what is remembered of each, and the line that says so.

A key is 256 random bits, so its SHA-256 is all that need be remembered: whoever reads that still has to guess the key.
What passwords are protected by, salt and a slow hash, is against guesses among the few that people think of; here it
would only slow down every request.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

from app.errors import SettingsError

KeyScope = Literal["infer", "admin"]
"""What a key is good for: asking the models, or changing what is served."""
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
FORM = "name scope[,scope] sha256:<64 hex digits>"
PREFIX = "nelbo_"
"""What a key begins with, so that tools that look for leaked secrets recognise one."""
RANDOM_BYTES = 32

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"sha256:[0-9A-Fa-f]{64}")


@dataclass(frozen=True)
class Key:
    """One key: whose it is, what it is good for, and its SHA-256; not the key itself."""

    name: str
    scopes: frozenset[KeyScope]
    digest: bytes

    def line(self) -> str:
        """How it is written in a file of keys."""
        scopes = ",".join(scope for scope in SCOPES if scope in self.scopes)
        return f"{self.name} {scopes} sha256:{self.digest.hex()}"


def digest(secret: bytes) -> bytes:
    """What is remembered of a key."""
    return hashlib.sha256(secret).digest()


def new_key(name: str, scopes: str) -> tuple[str, Key]:
    """A key that nobody has seen yet, and what to remember of it; the scopes are written as in a file of keys.

    Raises:
        SettingsError: the name or the scopes are not as they are written in a file of keys.
    """
    secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    return secret, Key(_name(name, "the key"), _scopes(scopes, "the key"), digest(secret.encode()))


def read_keys(text: str, place: str) -> tuple[Key, ...]:
    """The keys of a text with one a line, in the form of `FORM`; empty lines, and those that begin with #, are passed.

    Raises:
        SettingsError: naming `place` and the line, never its words: one may be a key, by mistake.
    """
    numbered = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
    keys = [_key(line, f"{place}, line {number}") for number, line in numbered if line and not line.startswith("#")]
    if not keys:
        raise SettingsError(f"{place}: there is no key in it; expected lines of the form {FORM}")
    return tuple(keys)


def _key(line: str, place: str) -> Key:
    words = line.split()
    if len(words) != 3:
        raise SettingsError(f"{place}: found {len(words)} words; expected {FORM}")
    name, scopes, digest = words
    if not _DIGEST.fullmatch(digest):
        raise SettingsError(f"{place}: the third word is no SHA-256; expected {FORM}")
    return Key(_name(name, place), _scopes(scopes, place), bytes.fromhex(digest.partition(":")[2]))


def _name(name: str, place: str) -> str:
    if name.startswith(PREFIX):  # names are logged
        raise SettingsError(f"{place}: the name begins with {PREFIX}, as keys do; expected a name, not the key itself")
    if not _NAME.fullmatch(name):
        raise SettingsError(f"{place}: the name is not 1 to 64 letters, digits, dots, dashes or underscores")
    return name


def _scopes(written: str, place: str) -> frozenset[KeyScope]:
    words = written.split(",")
    scopes = frozenset(scope for scope in SCOPES if scope in words)
    if not scopes.issuperset(words):
        raise SettingsError(f"{place}: the scopes are not among {', '.join(SCOPES)}, with commas and no blanks between")
    return scopes
