"""The contract between training and serving: what a bundle holds, how it is sealed and how it is verified.

A bundle is a folder `models/<name>/<version>/`. The format and its reasons are in `models/README.md`. This module needs
pydantic and the standard library only, so that anything can read a bundle without a model runtime.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import BundleError

FORMAT = 2
"""What is written; a reader reads the format before it too."""
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
CALIBRATION = "calibration.npz"
PROBE = "probe.npz"
REPORT = "report.json"
ENCODE, RECONSTRUCT, SAMPLE, SCORE = "encode.onnx", "reconstruct.onnx", "sample.onnx", "score.onnx"
IMPORTANCE = "importance.onnx"
_FILES_OF_1 = frozenset({MANIFEST, CALIBRATION, PROBE, ENCODE, RECONSTRUCT, SAMPLE, SCORE})
FILES_OF_FORMAT = {1: _FILES_OF_1, 2: _FILES_OF_1 | {IMPORTANCE, REPORT}}
"""What a bundle of each format holds beside SHA256SUMS."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Frozen(BaseModel):
    """A value: never changed after it is made, and never with a field that nobody documented."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Sensor(Frozen):
    """One column of x, in the order of the graphs' input."""

    name: Annotated[str, Field(min_length=1)]
    unit: str | None
    """As it was told at training; null where nobody told."""
    mean: Finite
    """Mean over the rows trained on, in the sensor's unit."""
    scale: Positive
    """Standard deviation over the rows trained on, in the sensor's unit."""
    min: Finite
    """Smallest value trained on."""
    max: Finite
    """Largest value trained on."""
    resolution: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Smallest gap between two different values trained on; 0 where there was only one value."""
    constant: bool
    """True where training saw one value only, up to rounding: outside the density then (see models/README.md)."""
    usual_nats: Finite | None = None
    """Mean of the sensor's part of the score over the held-out rows that have it; null in format 1."""


class Probe(Frozen):
    """How closely the graphs must reproduce the answers in `probe.npz`: |Δ| ≤ absolute + relative·size.

    Scores are in nats, and their size is what the row's score adds up, |kl| + Σ |per_sensor|; means and scales are in
    units of the sensor's training scale, and their size is their own.
    """

    rows: Annotated[int, Field(ge=1)]
    absolute: Positive
    relative: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Tail(Frozen):
    """How p-values go on above the 98 % level of the held-out scores: a generalised-Pareto distribution."""

    score: Finite
    """Where it begins, in nats."""
    p_value: Annotated[float, Field(gt=0, le=1)]
    """The p-value there."""
    shape: Finite
    """0 for an exponential tail, above it for a heavier one, below it for one that ends."""
    scale: Positive
    """In nats."""
    exceedances: Annotated[int, Field(ge=1)]
    """How many held-out scores are above `score`: what the tail was fitted to."""
    least_rate: Annotated[float, Field(gt=0, le=0.5)]
    """The smallest p-value, and false-alarm rate, that it is trusted with: 1 in ten times the held-out rows."""

    @model_validator(mode="after")
    def _falls(self) -> "Tail":
        if not self.least_rate < self.p_value:
            raise ValueError("least_rate is not below p_value")
        return self


class Shift(Frozen):
    """Whether scores moved from earlier to later rows: a Kolmogorov-Smirnov test at the effective numbers of rows."""

    between: Literal["validation and calibration rows", "the two halves of the calibration rows"]
    distance: Annotated[float, Field(ge=0, le=1)]
    """Largest difference between the two distribution functions."""
    p_value: Annotated[float, Field(ge=0, le=1)]


class Order(Frozen):
    """What the held-out scores say of themselves in the order of the file."""

    split: Literal["random", "time"]
    """How the held-out rows were parted from those trained on."""
    effective_rows: Positive
    """How many independent rows they are worth, by the autocorrelation of their ranks (Geyer 1992)."""
    shifts: tuple[Shift, ...]
    """Tested where the split is in time order only: a random one mixes what would move."""


class Calibration(Frozen):
    """The held-out scores that p-values are ranks among."""

    rows: Annotated[int, Field(ge=1)]
    """How many held-out rows were scored."""
    false_alarm_rate: Annotated[float, Field(gt=0, le=0.5)]
    """The rate that `threshold` was set for."""
    threshold: Finite
    """The score, in nats, at which an alarm at `false_alarm_rate` begins for a complete row."""
    realised_rate_90: tuple[float, float]
    """90 % interval of the false-alarm rate that this threshold has on new healthy rows: Beta(k, n + 1 - k)."""
    held_out_nats: Finite
    """Mean score of the held-out rows."""
    tail: Tail | None = None
    """Null where the held-out rows cannot vouch for one, and in bundles made before there were tails."""
    order: Order | None = None
    """Null in bundles made before it was looked at."""
    interval_seconds: Positive | None = None
    """Time from row to row; null where it was neither told nor found in the data."""

    @property
    def least_rate(self) -> float:
        """The smallest false-alarm rate that may be asked for."""
        return 1 / (self.rows + 1) if self.tail is None else self.tail.least_rate


class TrainingPoint(Frozen):
    """One evaluation during training: mean negative ELBO in nats of standardised sensors."""

    stage: str
    """What was fitted: the density of rows as they are, or the encoder of rows with missing sensors."""
    step: Count
    train_nats: Finite
    validation_nats: Finite


class Provenance(Frozen):
    """Where the bundle came from: enough to make the same bytes again on the same CPU family."""

    data: str
    """File name of the table trained on (no folder)."""
    data_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    attribution: str | None
    """Source and licence of the data, as told at training."""
    command: str
    seed: int
    threads: Annotated[int, Field(ge=1)]
    versions: dict[str, str]
    """Package name → version, of what the bytes depend on."""
    config: dict[str, int | float | str | list[str] | dict[str, str] | None]
    """The training configuration, every key of it."""
    rows: dict[Literal["train", "validation", "calibration"], Count]
    curve: tuple[TrainingPoint, ...]


class Manifest(Frozen):
    """What `manifest.json` says."""

    format: int
    """The format's number, a key of FILES_OF_FORMAT."""
    name: Name
    version: Annotated[int, Field(ge=1)]
    sensors: Annotated[tuple[Sensor, ...], Field(min_length=1)]
    latent_size: Annotated[int, Field(ge=1)]
    decoder: Literal["gaussian"]
    decoder_scale: Literal["free", "per_sensor", "shared", "fixed"]
    prior: Literal["normal", "mixture"]
    draws: Annotated[int, Field(ge=2)]
    """How many constant posterior draws the graphs of `score` and `reconstruct` average over."""
    noise_size: Annotated[int, Field(ge=2)]
    """Width M of the noise that `sample.onnx` takes."""
    opset: Annotated[int, Field(ge=1)]
    probe: Probe
    calibration: Calibration
    provenance: Provenance

    @model_validator(mode="after")
    def _sensor_names_are_unique(self) -> "Manifest":
        names = [sensor.name for sensor in self.sensors]
        if len(set(names)) != len(names):
            raise ValueError("two sensors have one name")
        return self

    @property
    def sensor_names(self) -> tuple[str, ...]:
        return tuple(sensor.name for sensor in self.sensors)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every file has the hash that SHA256SUMS says."""

    path: Path
    manifest: Manifest
    digest: str
    """SHA-256 of SHA256SUMS, hex: it names the bundle's whole content."""


def read(path: Path) -> Bundle:
    """The bundle at `path`, hashes and manifest verified; no graph is opened.

    Raises:
        BundleError: a file is missing, is a link, is not listed or has another hash; the manifest is of another format
            or does not read; the folder's names are not the manifest's.
    """
    sums = path / SUMS
    if not sums.is_file():
        raise BundleError(f"{path}: {SUMS} is missing; expected a bundle folder written by nelbo-train")
    listed = _parse_sums(sums)
    present = {entry.name for entry in path.iterdir()} - {SUMS}
    if odd := sorted(present ^ set(listed) | {MANIFEST} - present):
        raise BundleError(f"{path}: {', '.join(odd)}: missing, or not listed in {SUMS}")
    for name, expected in listed.items():
        file = path / name
        if file.is_symlink() or not file.is_file():
            raise BundleError(f"{file}: expected a plain file")
        found = sha256(file)
        if found != expected:
            raise BundleError(f"{file}: SHA-256 is {found}, {SUMS} says {expected}")
    manifest = _parse_manifest(path / MANIFEST)
    if odd := sorted(present ^ FILES_OF_FORMAT[manifest.format]):
        raise BundleError(f"{path}: {', '.join(odd)}: missing, or not part of format {manifest.format}")
    if (path.parent.name, path.name) != (manifest.name, str(manifest.version)):
        raise BundleError(
            f"{path}: the manifest says {manifest.name}/{manifest.version}, the folder {path.parent.name}/{path.name}"
        )
    return Bundle(path, manifest, sha256(sums))


def seal(path: Path, manifest: Manifest) -> None:
    """Write the manifest and then SHA256SUMS over every file, in the form that `sha256sum -c` reads."""
    (path / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    lines = [f"{sha256(path / name)}  {name}\n" for name in sorted(FILES_OF_FORMAT[manifest.format])]
    (path / SUMS).write_text("".join(lines), encoding="ascii")


def sha256(file: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _parse_sums(sums: Path) -> dict[str, str]:
    listed: dict[str, str] = {}
    for number, line in enumerate(sums.read_bytes().splitlines(), start=1):
        match = re.fullmatch(rb"([0-9a-f]{64})  ([A-Za-z0-9._-]+)", line)
        if match is None or match[2].decode() in listed:
            raise BundleError(f"{sums}, line {number}: expected '<64 hex digits>  <file name>', each name once")
        listed[match[2].decode()] = match[1].decode()
    return listed


def _parse_manifest(file: Path) -> Manifest:
    text = file.read_bytes()
    found = re.search(rb'"format"\s*:\s*(\d+)', text)
    if found is None or int(found[1]) not in FILES_OF_FORMAT:
        said = "no format" if found is None else f"format {int(found[1])}"
        raise BundleError(f"{file}: {said}; this nelbo reads formats {' and '.join(map(str, FILES_OF_FORMAT))}")
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise BundleError(f"{file}: {place}: {first['msg']} ({error.error_count()} faults in all)") from error
