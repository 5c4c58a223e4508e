"""What the Open Inference Protocol tells about the service and its models."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from app.infer_rows import X
from app.inference import OUTPUTS
from app.model import Model
from app.repository import Repository
from app.schemas import Wire

EXTENSIONS = ["binary_tensor_data", "model_repository", "parameters", "statistics"]


class V2Server(Wire):
    """What answers here, and which extensions of the protocol it knows."""

    name: Literal["nelbo"]
    version: str
    extensions: list[str]


class V2Health(Wire):
    """That the service lives and its models are open."""

    live: Literal[True] = True
    ready: Literal[True] = True


class V2Tensor(Wire):
    """An input or an output; -1 is any number of rows."""

    name: str
    datatype: Literal["FP64", "BOOL"]
    shape: list[int]


class V2Model(Wire):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: Literal["onnx_onnxv1"]
    inputs: list[V2Tensor]
    outputs: list[V2Tensor]


class V2Ready(Wire):
    """That a model answers."""

    name: str
    ready: Literal[True]


class V2IndexEntry(Wire):
    """One version of a model that is served."""

    name: str
    version: str
    state: Literal["READY"]
    reason: Annotated[str, Field(description="Empty: it is ready")]


def server(version: str) -> V2Server:
    """Name, version and extensions."""
    return V2Server(name="nelbo", version=version, extensions=EXTENSIONS)


def metadata(model: Model, repository: Repository) -> V2Model:
    """The input and the outputs of a model, and the versions that it is served in."""
    manifest = model.manifest
    axes = {"sensors": len(manifest.sensors), "latents": manifest.latent_size}
    outputs = [
        V2Tensor(name=name, datatype=output.datatype, shape=[-1] if output.axis is None else [-1, axes[output.axis]])
        for name, output in OUTPUTS.items()
    ]
    return V2Model(
        name=manifest.name,
        versions=[str(version) for version in sorted(repository.models[manifest.name])],
        platform="onnx_onnxv1",
        inputs=[V2Tensor(name=X, datatype="FP64", shape=[-1, len(manifest.sensors)])],
        outputs=outputs,
    )


def index(repository: Repository) -> list[V2IndexEntry]:
    """Everything that is served."""
    return [
        V2IndexEntry(name=model.manifest.name, version=str(model.manifest.version), state="READY", reason="")
        for model in every_model(repository)
    ]


def every_model(repository: Repository) -> Iterator[Model]:
    """Every version of every model, by name and version."""
    for versions in repository.models.values():
        for version in sorted(versions):
            yield versions[version]
