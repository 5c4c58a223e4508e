"""Inference requests and responses of the Open Inference Protocol, as the OpenAPI document shows them.

Reading and writing them is the work of `infer_request` and `infer_response`; tests hold them together.
"""

from typing import Annotated, Any, Literal

from pydantic import MISSING, BaseModel, ConfigDict, Field

from app.schemas import Wire

Dimension = Annotated[int, Field(ge=0)]
Name = Literal[
    "score", "kl", "per_sensor", "p_value", "alarm", "latent_mean", "latent_scale", "expected_mean", "expected_scale"
]


class V2Open(BaseModel):
    """A JSON object whose further fields are ignored, as the protocol has it."""

    model_config = ConfigDict(extra="allow", frozen=True)


class V2InputParameters(V2Open):
    """How an input is sent."""

    binary_data_size: Dimension | MISSING = Field(
        default=MISSING, description="Bytes of this tensor behind the JSON; there is no `data` then."
    )


class V2Input(V2Open):
    """The rows, as `x` of shape [n, D], or the readings of the sensor that it is named after, [n] or [n, 1]."""

    name: str
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=2)]
    datatype: Literal["FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8"]
    data: list[float | None] | list[list[float | None]] | MISSING = Field(
        default=MISSING, description="Flat or nested as the shape says; null is a missing sensor."
    )
    parameters: V2InputParameters | None = None


class V2RequestedOutputParameters(V2Open):
    """How an output is to be sent."""

    binary_data: bool | None = None


class V2RequestedOutput(V2Open):
    """An output that is asked for."""

    name: Name
    parameters: V2RequestedOutputParameters | None = None


class V2Parameters(V2Open):
    """Of the request; others than these are ignored."""

    binary_data_output: bool = False
    false_alarm_rate: float | None = Field(default=None, description="Of `alarm`; by default 0.01.")


class V2InferRequest(V2Open):
    """Rows, and which outputs to tell of them."""

    id: str | None = None
    inputs: Annotated[list[V2Input], Field(min_length=1)]
    outputs: list[V2RequestedOutput] | None = Field(default=None, description="By default all.")
    parameters: V2Parameters | None = None


class V2Output(Wire):
    """The values of an output."""

    name: Name
    shape: list[Dimension]
    datatype: Literal["FP64", "BOOL"]
    data: list[float] | list[bool] | MISSING = Field(default=MISSING, description="Row by row, flat")
    parameters: dict[str, Any] | MISSING = Field(
        default=MISSING, description="`binary_data_size`: bytes of this tensor behind the JSON"
    )


class V2InferResponse(Wire):
    """The outputs that were asked for, in their order."""

    model_name: str
    model_version: str
    id: str | MISSING = Field(default=MISSING, description="The request's")
    outputs: list[V2Output]


class V2IndexRequest(V2Open):
    """Which models to list."""

    ready: bool = Field(default=False, description="Only those that are ready.")


class V2ControlRequest(V2Open):
    """To load or unload a model; it brings nothing."""

    parameters: dict[str, Any] = Field(default={}, description="None; `unload_dependents` is ignored.")


class V2Error(Wire):
    """Why there is no answer."""

    error: str
