"""A look at the folder of models: which bundles there are, and whether anything in them is not as it was."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from app.manifest import NAME_PATTERN

VERSION_PATTERN = r"[1-9][0-9]{0,8}"
"""How a version is written: in one way only, so that each has one folder and one address."""


class Address(NamedTuple):
    """Where a bundle is, below the folder of models."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


Stamp = tuple[tuple[str, int, int, int], ...]
"""A bundle's entries by name: inode, size and time of each. The same stamp is the same content, unread."""


@dataclass(frozen=True)
class Look:
    """What is in the folder of models."""

    bundles: Mapping[Address, Stamp] = field(default_factory=dict)
    """By name, and of one name the highest version first."""
    misnamed: frozenset[str] = frozenset()
    """Folders whose name is not one that a model or a version can have."""


def look(root: Path) -> Look:
    """What is there now; where the folder itself cannot be read, nothing is."""
    misnamed: set[str] = set()
    bundles: dict[Address, Stamp] = {}
    for model in _folders(root, NAME_PATTERN, misnamed):
        versions = [int(folder.name) for folder in _folders(model, VERSION_PATTERN, misnamed)]
        for version in sorted(versions, reverse=True):
            bundles[Address(model.name, version)] = _stamp(model / str(version))
    return Look(bundles, frozenset(misnamed))


def is_gone(folder: Path) -> bool:
    """Whether nothing is there, which is not the same as that it may not be looked at."""
    try:
        folder.lstat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def _folders(parent: Path, pattern: str, misnamed: set[str]) -> Iterator[Path]:
    """The folders that can be a model's or a version's; dot-folders are others' business and pass in silence."""
    for folder in sorted(_entries(parent)):
        if folder.name.startswith(".") or not _may_be_folder(folder):
            continue
        if re.fullmatch(pattern, folder.name):
            yield folder
        else:
            misnamed.add(str(folder))


def _may_be_folder(entry: Path) -> bool:
    """Whether it is one, or cannot be looked at: then whoever opens it says so."""
    try:
        return entry.is_dir()
    except PermissionError:
        return True


def _stamp(bundle: Path) -> Stamp:
    found = []
    for entry in _entries(bundle):
        try:
            status = entry.lstat()
        except OSError:  # it went while we looked
            continue
        found.append((entry.name, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(sorted(found))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # it went while we looked, or may not be read
        return []
