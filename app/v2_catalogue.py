"""What the Open Inference Protocol tells about the service and its models."""

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
    """One version of a model."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: Annotated[
        str, Field(description="Why it is unavailable, or is not what lies in the folder now; else empty")
    ]


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


def index(repository: Repository, ready: bool) -> list[V2IndexEntry]:
    """Every version there is, by name and version; those that are `ready` only, where they are asked for."""
    stock = repository.stock
    addresses = stock.models.keys() if ready else stock.models.keys() | stock.refused.keys()
    return [
        V2IndexEntry(
            name=address.name,
            version=str(address.version),
            state="READY" if address in stock.models else "UNAVAILABLE",
            reason=stock.refused[address].reason if address in stock.refused else "",
        )
        for address in sorted(addresses)
    ]
