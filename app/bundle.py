"""The contract between training and serving: what a bundle holds, how it is sealed and how it is verified.

A bundle is a folder `models/<name>/<version>/`. The format and its reasons are in `models/README.md`. This module needs
pydantic and the standard library only, so that anything can read a bundle without a model runtime.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from app.errors import BundleError
from app.manifest import Manifest
from app.onnx_graph import check_graph

FORMAT = 3
"""What is written."""
READ = (2, 3)
"""What is read: the format before it too."""
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
CALIBRATION = "calibration.npz"
PROBE = "probe.npz"
REPORT = "report.json"
ENCODE, RECONSTRUCT, SAMPLE, SCORE = "encode.onnx", "reconstruct.onnx", "sample.onnx", "score.onnx"
IMPORTANCE = "importance.onnx"
GRAPHS = (ENCODE, RECONSTRUCT, SAMPLE, SCORE, IMPORTANCE)
FILES = frozenset({MANIFEST, CALIBRATION, PROBE, REPORT, *GRAPHS})
"""What a bundle holds beside SHA256SUMS."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file has the hash that SHA256SUMS says, and whose graphs hold what is allowed only."""

    path: Path
    manifest: Manifest
    digest: str
    """SHA-256 of SHA256SUMS, hex: it names the bundle's whole content."""


def read(path: Path) -> Bundle:
    """The bundle at `path`, hashes, manifest and what its graphs hold verified; no graph is opened.

    Raises:
        BundleError: a file is missing, is a link, is not listed or has another hash; the manifest is of another format
            or does not read; the folder's names are not the manifest's; a graph holds what is not allowed.
    """
    sums = path / SUMS
    if not path.is_dir():
        raise BundleError(path, "there is no such folder; expected a bundle written by nelbo-train")
    if not sums.is_file():
        raise BundleError(path, f"{SUMS} is missing; expected a bundle folder written by nelbo-train")
    listed = _parse_sums(sums)
    present = {entry.name for entry in path.iterdir()} - {SUMS}
    if missing := sorted({MANIFEST, *listed} - present):
        raise BundleError(path, f"{', '.join(missing)}: missing")
    if odd := sorted(present - set(listed)):
        raise BundleError(path, f"{', '.join(odd)}: not listed in {SUMS}")
    for name, expected in listed.items():
        file = path / name
        if file.is_symlink() or not file.is_file():
            raise BundleError(path, f"{name}: expected a plain file")
        found = sha256(file)
        if found != expected:
            raise BundleError(path, f"{name}: SHA-256 is {found}, {SUMS} says {expected}")
    manifest = _parse_manifest(path / MANIFEST)
    if odd := sorted(present ^ FILES):
        raise BundleError(path, f"{', '.join(odd)}: missing, or not part of format {manifest.format}")
    if (path.parent.name, path.name) != (manifest.name, str(manifest.version)):
        raise BundleError(
            path,
            f"{MANIFEST}: it says {manifest.name}/{manifest.version}, the folder is {path.parent.name}/{path.name}",
        )
    for graph in GRAPHS:
        check_graph(path / graph, manifest.opset)
    return Bundle(path, manifest, sha256(sums))


def seal(path: Path, manifest: Manifest) -> None:
    """Write the manifest and then SHA256SUMS over every file, in the form that `sha256sum -c` reads."""
    (path / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    lines = [f"{sha256(path / name)}  {name}\n" for name in sorted(FILES)]
    (path / SUMS).write_text("".join(lines), encoding="ascii")


def sha256(file: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parse_sums(sums: Path) -> dict[str, str]:
    listed: dict[str, str] = {}
    for number, line in enumerate(sums.read_bytes().splitlines(keepends=True), start=1):
        match = re.fullmatch(rb"([0-9a-f]{64})  ([A-Za-z0-9._-]+)\n", line)
        if match is None or match[2].decode() in listed:
            expected = "expected '<64 hex digits>  <file name>', each name once"
            raise BundleError(sums.parent, f"{SUMS}, line {number}: {expected}")
        listed[match[2].decode()] = match[1].decode()
    return listed


def _parse_manifest(file: Path) -> Manifest:
    text = file.read_bytes()
    found = re.search(rb'"format"\s*:\s*(\d+)', text)
    if found is None or int(found[1]) not in READ:
        said = "no format" if found is None else f"format {int(found[1])}"
        raise BundleError(file.parent, f"{MANIFEST}: {said}; this nelbo reads formats {' and '.join(map(str, READ))}")
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        told = f"{place}: {first['msg']} ({error.error_count()} faults in all)"
        raise BundleError(file.parent, f"{MANIFEST}: {told}") from error
