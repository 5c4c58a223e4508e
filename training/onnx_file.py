"""A torch module to an ONNX file: float64 in and out, any number of rows, and nothing of this machine in its bytes."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnx_ir as ir
import torch
from onnx_ir.passes.common import DeduplicateInitializersPass, RemoveUnusedNodesPass
from torch import Tensor, nn

from training.branch import branch

OPSET = 20
MOST_COMPARED = 2**30
"""Values of a constant that is looked for twice: the exporter works the same one out wherever it is used."""


def write_graph(file: Path, module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str]) -> None:
    """Export `module`: each of `inputs` is named and like its example, with a first axis of any length of its own."""
    write_graphs(module, inputs, outputs, {file: {name: name for name in outputs}})


def write_graphs(
    module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], files: dict[Path, dict[str, str]]
) -> None:
    """Export `module`, whose `outputs` share work, to `files`: each has some of them, under names of its own.

    It is traced once, which takes far longer than anything else here; a file has the inputs that its outputs need.
    """
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
    for file, names in files.items():
        _write(file, program.model.clone(), names)


def _write(file: Path, whole: ir.Model, names: dict[str, str]) -> None:
    """What the outputs `names` of `whole` need, and their new names."""
    outputs = [output for output in whole.graph.outputs if output.name in names]
    whole.graph.outputs[:] = outputs
    for output in outputs:
        output.name = names[str(output.name)]
    RemoveUnusedNodesPass()(whole)
    whole.graph.inputs[:] = [value for value in whole.graph.inputs if value.uses()]
    DeduplicateInitializersPass(size_limit=MOST_COMPARED)(whole)
    model = ir.to_proto(whole)
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
