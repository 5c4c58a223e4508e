"""What a training run found out about its table and its model: `report.json` of a bundle, for a person to judge by.

Nothing here is needed to serve. A bundle that was not made from a table, such as a planted one, has a report that says
nothing.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from app.bundle import REPORT, Bundle
from app.errors import BundleError
from app.manifest import Count, Finite, Frozen

BANDS = (0.5, 0.9, 0.99)
"""The predictive bands whose coverage is told."""

Kind = Literal["constant", "two-valued", "stepped", "saturated", "heavy-tailed", "duplicated"]
Share = Annotated[float, Field(ge=0, le=1)]


class DifficultSensor(Frozen):
    """A sensor whose readings a density cannot take as they come, and what was done about it."""

    name: str
    kind: Kind
    measure: Finite
    """What the kind's rule compares: the spread as a share of the value's size (constant), the rarer value's share of
    rows (two-valued), the step in training scales (stepped), the share of rows where it sticks (saturated), the
    L-kurtosis (heavy-tailed), the correlation (duplicated)."""
    found: str
    """What its readings are like, in words."""
    done: str
    """What training did about it and what else may be done, in words."""


class Suspect(Frozen):
    """A row of the table that a model not fitted to it finds odd."""

    row: Annotated[int, Field(ge=1)]
    """Its number in the file, the first row of readings being 1; a header is not counted."""
    line: Annotated[int, Field(ge=2)] | None
    """The line of a text file that it starts on, the header being line 1."""
    part: Literal["train", "validation", "calibration"]
    """What the exported model used it for."""
    excess: Finite
    """Nats by which its score, by a model not fitted to it, is above the median of all rows that this model scored."""
    score: Finite
    """Its score, in nats, by the exported model, which was fitted to it where `part` is "train"."""
    sensor: str
    """The sensor without which `score` falls most: that which surprises most given the others."""
    nats: Finite
    """By how much it falls, in nats of standardised sensors."""


class Threshold(Frozen):
    """Where an alarm begins."""

    rows: Annotated[int, Field(ge=1)]
    """How many calibration rows it is from."""
    false_alarm_rate: Annotated[float, Field(gt=0, le=0.5)]
    nats: Finite


class Suspects(Frozen):
    """The rows that score highest when they are left out.

    The table is cut in two halves at random, a small copy of the model is fitted to each from nothing, and each scores
    the half that it has not seen. So no row is judged by a model that was fitted to it, not even for its scaling.
    """

    rows: tuple[Suspect, ...]
    """The highest first, at most 20 and at most a twentieth of the table."""
    threshold: Threshold
    """With every calibration row, as in the manifest."""
    threshold_without: Threshold
    """Without the calibration rows among `rows`."""


class Latents(Frozen):
    """How much each latent carries, over held-out rows; latents have mean 0 and variance 1 under the prior."""

    rows: Annotated[int, Field(ge=1)]
    active: Count
    """How many have Var_x(E_q[z]) above 0.01 (Burda, Grosse & Salakhutdinov 2016)."""
    variance: tuple[Finite, ...]
    """Var_x(E_q[z]) of each."""
    kl: tuple[Finite, ...]
    """Mean KL(q(z|x) ‖ N(0, 1)) of each, in nats. For a mixture prior that is the KL to the normal with the mixture's
    moments, one latent at a time: it tells latents apart and does not add up to the score's kl."""


class Gap(Frozen):
    """How much the importance-weighted bound gains on the score (Burda et al. 2016), over held-out rows."""

    rows: Annotated[int, Field(ge=1)]
    draws: Annotated[int, Field(ge=2)]
    nats: Finite
    """Mean of the importance-weighted bound less the ELBO, both from the same draws."""
    error: Annotated[float, Field(ge=0)]
    """Standard error of this mean over the rows."""


class SensorFit(Frozen):
    """How well the model's own uncertainty about one sensor fits held-out rows."""

    name: str
    floor: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """The least scale that its decoder may have, in the sensor's unit; 0 where the scale is fixed."""
    at_floor: Share
    """Share of rows in which more than half of the decoder's variance is its floor's."""
    readings: Count
    """How many readings `coverage` is of."""
    coverage: tuple[Share, Share, Share]
    """Share of its readings within the 50, 90 and 99 % bands mean ± quantile·scale, each given the row's other sensors;
    0 where there are no readings."""


class Verdict(Frozen):
    """One diagnostic in plain words."""

    about: Literal["run", "curve", "sensors", "rows", "latents", "floor", "gap", "bands"]
    good: bool
    text: str
    """What was found and, where it is not good, what to try."""


class Report(Frozen):
    """What `report.json` says."""

    sensors: tuple[DifficultSensor, ...] = ()
    """Sensors with a difficulty, in the sensors' order; one with two difficulties is here twice."""
    suspects: Suspects | None = None
    latents: Latents | None = None
    gap: Gap | None = None
    fits: tuple[SensorFit, ...] = ()
    """Of every sensor in the density, in the sensors' order."""
    verdicts: tuple[Verdict, ...] = ()


def write(report: Report, folder: Path) -> None:
    """Write it as a bundle's report."""
    (folder / REPORT).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read(opened: Bundle) -> Report:
    """The bundle's report.

    Raises:
        BundleError: the report does not read.
    """
    file = opened.path / REPORT
    try:
        return Report.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        told = f"{place}: {first['msg']} ({error.error_count()} faults in all)"
        raise BundleError(opened.path, f"{REPORT}: {told}") from error
