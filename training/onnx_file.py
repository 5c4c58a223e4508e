"""A torch module to an ONNX file: float64 in and out, any number of rows, and nothing of this machine in its bytes."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from onnx_ir.passes.common import DeduplicateInitializersPass
from torch import Tensor, nn

from training.branch import branch

OPSET = 20
MOST_COMPARED = 2**30
"""Values of a constant that is looked for twice: the exporter works the same one out wherever it is used."""


def write_graph(file: Path, module: nn.Module, inputs: dict[str, Tensor], outputs: list[str]) -> None:
    """Export `module`: each of `inputs` is named and like its example, with a first axis of any length of its own."""
    with _quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=tuple({0: torch.export.Dim(f"{name}_rows")} for name in inputs),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    DeduplicateInitializersPass(size_limit=MOST_COMPARED)(program.model)
    model = program.model_proto
    branch(model.graph)
    _strip(model.graph)
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _strip(graph: onnx.GraphProto) -> None:
    """Take out what the exporter notes about where it ran: stack traces with the paths of this machine, mostly."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _strip(attribute.g)
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.metadata_props[:]
    graph.doc_string = ""
    del graph.value_info[:]


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter logs that torchvision is absent and warns of its own deprecations; neither is about the model."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
