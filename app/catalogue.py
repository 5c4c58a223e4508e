"""What the service tells about itself and its models."""

from typing import Annotated, Literal

from pydantic import Field

from app.manifest import Order, Tail
from app.model import Model
from app.ranking import MAX_RATE
from app.repository import Repository
from app.schemas import Wire
from app.settings import Settings
from app.verbs import default_rate, least_rate, most_explained, most_samples


class SensorInfo(Wire):
    """One sensor, as training saw it, in its unit."""

    name: str
    unit: str | None
    mean: float
    scale: float
    min: float
    max: float
    resolution: float
    constant: bool
    usual_nats: Annotated[
        float | None, Field(description="Its mean part of a healthy row's score; null where not told")
    ]


class CalibrationInfo(Wire):
    """The held-out rows that p-values are ranks among."""

    rows: int
    false_alarm_rate: Annotated[float, Field(description="The rate that `threshold` was set for")]
    threshold: Annotated[float, Field(description="The score at which an alarm begins for a complete row")]
    realised_rate_90: Annotated[
        tuple[float, float], Field(description="90 % interval of the rate that it has on new healthy rows")
    ]
    held_out_nats: Annotated[float, Field(description="Mean score of the held-out rows")]
    tail: Annotated[Tail | None, Field(description="Null where the held-out rows cannot vouch for one")]
    order: Annotated[Order | None, Field(description="Null in bundles made before it was looked at")]
    interval_seconds: Annotated[float | None, Field(description="Time from row to row; null where it is unknown")]


class FalseAlarmRateInfo(Wire):
    """Which false-alarm rates may be asked for."""

    least: Annotated[float, Field(description="Of complete rows; of those with missing sensors it can be larger")]
    most: float
    default: float


class DataInfo(Wire):
    """What was trained on."""

    file: str
    sha256: str
    attribution: Annotated[str | None, Field(description="Source and licence, as told at training")]


class Limits(Wire):
    """What one request may ask of this model."""

    body_bytes: int
    rows: int
    explained_rows: int
    bound_draws: Annotated[int, Field(description="Rows times draws of one question with `bound`")]
    sampled_rows: int
    patterns: int
    false_alarm_rate: FalseAlarmRateInfo


class ModelInfo(Wire):
    """One version of a model: the manifest's public part, and the limits."""

    name: str
    version: int
    versions: list[int]
    default: bool
    device: Literal["cpu", "cuda"]
    bundle: Annotated[str, Field(description="SHA-256 of the bundle's SHA256SUMS")]
    sensors: list[SensorInfo]
    latent_size: int
    decoder: str
    decoder_scale: str
    prior: str
    draws: int
    calibration: CalibrationInfo
    data: DataInfo
    limits: Limits


class ModelSummary(Wire):
    """One model that is served."""

    name: str
    version: Annotated[int, Field(description="The version that answers where none is named")]
    versions: list[int]
    default: Annotated[bool, Field(description="Whether this model answers at the root")]
    device: Literal["cpu", "cuda"]


class RefusedBundle(Wire):
    """A version that is not served as it lies in the folder of models."""

    name: str
    version: int
    reason: str
    served: Annotated[bool, Field(description="Whether what it was before is served still")]


class Models(Wire):
    """Every model that is served, and every bundle that is refused."""

    models: list[ModelSummary]
    refused: list[RefusedBundle]


class Links(Wire):
    """Where to go on."""

    docs: str
    openapi: str
    models: str
    live: str
    ready: str
    metrics: str


class ServiceInfo(Wire):
    """What answers here."""

    name: Literal["nelbo"]
    version: str
    model: Annotated[str, Field(description="The model that answers at the root")]
    model_version: int
    docs: str
    links: Links


class Health(Wire):
    """That the service lives, or is ready."""

    status: Literal["live", "ready"]


def service_info(repository: Repository, version: str, prefix: str) -> ServiceInfo:
    """Name, version, and where to go on; the service's addresses may be below a prefix."""
    default = repository.default.manifest
    return ServiceInfo(
        name="nelbo",
        version=version,
        model=default.name,
        model_version=default.version,
        docs=f"{prefix}/docs",
        links=Links(
            docs=f"{prefix}/docs",
            openapi=f"{prefix}/openapi.json",
            models=f"{prefix}/models",
            live=f"{prefix}/health/live",
            ready=f"{prefix}/health/ready",
            metrics=f"{prefix}/metrics",
        ),
    )


def models(repository: Repository) -> Models:
    """Every model, with the version that answers where none is named, and every bundle that is refused."""
    return Models(
        models=[_summary(name, repository) for name in repository.models],
        refused=[
            RefusedBundle(
                name=address.name,
                version=address.version,
                reason=why.reason,
                served=address in repository.stock.models,
            )
            for address, why in sorted(repository.stock.refused.items(), key=lambda item: item[0])
        ],
    )


def model_info(model: Model, repository: Repository, settings: Settings) -> ModelInfo:
    """The manifest's public part, and the limits."""
    manifest = model.manifest
    return ModelInfo(
        name=manifest.name,
        version=manifest.version,
        versions=sorted(repository.models[manifest.name]),
        default=model is repository.default,
        device=model.engine.device,
        bundle=model.bundle.digest,
        sensors=[SensorInfo(**sensor.model_dump()) for sensor in manifest.sensors],
        latent_size=manifest.latent_size,
        decoder=manifest.decoder,
        decoder_scale=manifest.decoder_scale,
        prior=manifest.prior,
        draws=manifest.draws,
        calibration=CalibrationInfo(**manifest.calibration.model_dump()),
        data=_data(model),
        limits=_limits(model, settings),
    )


def _summary(name: str, repository: Repository) -> ModelSummary:
    model = repository.get(name)
    return ModelSummary(
        name=name,
        version=model.manifest.version,
        versions=sorted(repository.models[name]),
        default=name == repository.default.manifest.name,
        device=model.engine.device,
    )


def _data(model: Model) -> DataInfo:
    said = model.manifest.provenance
    return DataInfo(file=said.data, sha256=said.data_sha256, attribution=said.attribution)


def _limits(model: Model, settings: Settings) -> Limits:
    return Limits(
        body_bytes=settings.max_body_bytes,
        rows=settings.max_rows,
        explained_rows=most_explained(model, settings),
        bound_draws=settings.max_bound_draws,
        sampled_rows=most_samples(model, settings),
        patterns=settings.max_patterns,
        false_alarm_rate=FalseAlarmRateInfo(least=least_rate(model), most=MAX_RATE, default=default_rate(model)),
    )
