"""The wire, as the OpenAPI document shows it. Reading and writing it is `codec`'s work; tests hold the two together.

A field that may be absent is MISSING, never null: on this wire null has one meaning, a missing sensor.
"""

import math
from typing import Annotated, Literal

from pydantic import MISSING, BaseModel, ConfigDict, Field

from app.bodies import MAX_DRAWS, MAX_SEED
from app.ranking import MAX_RATE
from app.shape import FLOAT32_LIMIT

FLOAT32_MAX = math.nextafter(FLOAT32_LIMIT, 0.0)
"""The greatest double that a float32 can hold when it is rounded."""

Reading = Annotated[float, Field(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
Row = list[Reading | None] | dict[str, Reading | None]
Rows = Annotated[
    list[Row],
    Field(
        min_length=1,
        description="Each an array in the order of the model's sensors, or an object by sensor name. "
        "A null, or a name that is absent, is a missing sensor.",
    ),
]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
PerRow = Annotated[list[float], Field(description="[n]")]
PerSensor = Annotated[list[list[float]], Field(description="[n][D]")]
Rate = Annotated[float, Field(gt=0, le=MAX_RATE)]


class Wire(BaseModel):
    """A JSON object without a field that nobody documented."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RowsRequest(Wire):
    """Rows of raw sensor readings."""

    rows: Rows


class BoundOptions(Wire):
    """How tightly to bound log p(x)."""

    draws: Annotated[int, Field(ge=1, le=MAX_DRAWS)]
    seed: Seed


class ScoreRequest(Wire):
    """Rows of raw sensor readings and what to tell about them."""

    rows: Rows
    false_alarm_rate: Annotated[
        float | MISSING,
        Field(gt=0, le=MAX_RATE, description="The share of healthy rows that may alarm; by default 0.01."),
    ] = MISSING
    explain: bool | MISSING = Field(
        default=MISSING, description="Tell where the score comes from and what was expected."
    )
    bound: BoundOptions | MISSING = Field(
        default=MISSING, description="Bound -ln p(x) more tightly by importance weights."
    )
    fdr: Annotated[
        float | MISSING,
        Field(gt=0, le=MAX_RATE, description="Report rows so that at most this share of the reports is false."),
    ] = MISSING


class SampleRequest(Wire):
    """How many rows to draw."""

    count: int | MISSING = Field(default=MISSING, ge=1, description="How many rows; by default 1.")
    seed: Seed | MISSING = Field(
        default=MISSING, description="The same seed draws the same rows; one is chosen and told."
    )
    given: Row | MISSING = Field(
        default=MISSING,
        description="A row to condition on: its nulls are drawn given the rest.",
    )


class _Answer(Wire):
    model: str
    version: int


class EncodeResponse(_Answer):
    """q(z|x) of each row, in latents of mean 0 and variance 1 under the prior."""

    mean: Annotated[list[list[float]], Field(description="[n][L]")]
    scale: Annotated[list[list[float]], Field(description="[n][L], standard deviations")]


class ReconstructResponse(_Answer):
    """What each sensor should have read, in its unit."""

    mean: PerSensor
    scale: Annotated[list[list[float]], Field(description="[n][D], standard deviations")]


class SampleResponse(_Answer):
    """Rows of a healthy plant."""

    rows: Annotated[list[list[float]], Field(description="[count][D], in the sensors' units")]
    seed: Annotated[int, Field(ge=0)]


class ScoreResponse(_Answer):
    """How surprising each row is."""

    score: Annotated[list[float], Field(description="[n], negative ELBO in nats; larger is more surprising")]
    p_value: Annotated[
        list[float],
        Field(
            description="[n], rank among the held-out rows with the same sensors missing, or of a tail fitted to the "
            "highest of them; never below the least rate that the model tells"
        ),
    ]
    alarm: Annotated[list[bool], Field(description="[n], p_value ≤ false_alarm_rate")]
    threshold: Annotated[list[float], Field(description="[n], the score at which an alarm begins")]
    n_observed: Annotated[list[int], Field(description="[n], how many sensors were not missing")]
    false_alarm_rate: Rate
    kl: PerRow | MISSING = Field(default=MISSING, description="[n], the part of the score that is KL(q‖p)")
    per_sensor: PerSensor | MISSING = Field(
        default=MISSING, description="[n][D], each sensor's part of the score; score = kl + the sum of these"
    )
    excess: PerSensor | MISSING = Field(
        default=MISSING, description="[n][D], per_sensor above what the sensor costs a held-out row on average"
    )
    expected_mean: PerSensor | MISSING = Field(
        default=MISSING, description="[n][D], given the other sensors of the row"
    )
    expected_scale: PerSensor | MISSING = Field(default=MISSING, description="[n][D], standard deviations")
    out_of_range: list[list[bool]] | MISSING = Field(
        default=MISSING, description="[n][D], outside what this sensor read in training"
    )
    bound: PerRow | MISSING = Field(
        default=MISSING, description="[n], the importance-weighted bound in nats; it falls to -ln p(x) with the draws"
    )
    bound_error: PerRow | MISSING = Field(default=MISSING, description="[n], the bound's standard error")
    discovery: list[bool] | MISSING = Field(default=MISSING, description="[n], reported at the rate `fdr`")


class FaultInfo(Wire):
    """One wrong place in a body."""

    pointer: Annotated[str, Field(description="RFC 6901 JSON pointer into the request's body")]
    detail: str


class Problem(Wire):
    """An RFC 9457 problem: why there is no answer."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: Annotated[str, Field(description="For people")]
    code: Annotated[str, Field(description="For programs; stable")]
    request_id: str
    errors: list[FaultInfo] | MISSING = Field(default=MISSING, max_length=10, description="The wrong places")
