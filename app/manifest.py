"""What `manifest.json` says, as frozen values: the sensors, the calibration, where the model came from.

The meaning of each field is in `models/README.md`. This module needs pydantic and the standard library only.
"""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    """Mean of the sensor's part of the score over the held-out rows that have it; null where it was not told."""


class Probe(Frozen):
    """How closely the graphs must reproduce the answers in `probe.npz`: |Δ| ≤ absolute + relative·size.

    Scores are in nats, and their size is what the row's score adds up, |kl| + Σ |per_sensor|; means and scales are in
    units of the sensor's training scale, and their size is their own; of kl, per_sensor and moments, which blend the
    network with the background by the row's nats, it is that (or 1, if more) times 1 + those nats.
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
    """What was fitted: the density of rows as they are, the same with the validation rows among them, or the encoder of
    rows with missing sensors."""
    step: Count
    train_nats: Finite
    validation_nats: Finite | None
    """None where the validation rows were trained on."""


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
    """The format's number, one that is read."""
    name: Name
    version: Annotated[int, Field(ge=1)]
    sensors: Annotated[tuple[Sensor, ...], Field(min_length=1)]
    latent_size: Annotated[int, Field(ge=1)]
    decoder: Literal["gaussian", "student_t"]
    decoder_scale: Literal["free", "student_t", "per_sensor", "shared", "fixed"]
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

    @cached_property
    def sensor_names(self) -> tuple[str, ...]:
        return tuple(sensor.name for sensor in self.sensors)
