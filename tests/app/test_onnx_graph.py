"""What a graph may hold: what the exporter writes and nothing else, whatever the hashes say."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from app import bundle
from app.errors import BundleError
from app.onnx_graph import IR, OPERATORS, check_graph
from app.protobuf import WireError, fields
from training.onnx_file import OPSET

BUNDLED = Path(__file__).parents[2] / "models" / "gas-turbine" / "1"

Change = Callable[[ModelProto], object]


def operators(graph: GraphProto) -> Iterator[tuple[str, str]]:
    """Domain and name of every operator, those in branches included, as the package `onnx` reads them."""
    for node in graph.node:
        yield node.domain, node.op_type
        for attribute in node.attribute:
            yield from operators(attribute.g)


def test_the_allowed_operators_are_those_that_the_exporter_writes(models: Path) -> None:
    """Of the models exported for the tests, now, and of the bundled one, which has every part that a model can have."""
    written = [onnx.load(folder / graph) for folder in (models / "plant" / "1", BUNDLED) for graph in bundle.GRAPHS]

    assert {used for model in written for used in operators(model.graph)} == {("", name) for name in OPERATORS}
    assert {model.ir_version for model in written} == {IR}
    assert {(given.domain, given.version) for model in written for given in model.opset_import} == {("", OPSET)}


def changed(models: Path, tmp_path: Path, change: Change) -> Path:
    """A graph of the plant with something done to it."""
    file = tmp_path / bundle.SCORE
    model = onnx.load(models / "plant" / "1" / bundle.SCORE)
    change(model)
    file.write_bytes(model.SerializeToString())
    return file


def branch(model: ModelProto) -> GraphProto:
    """A branch of the graph."""
    (decision,) = (node for node in model.graph.node if node.op_type == "If")
    return decision.attribute[0].g


def external(tensor: TensorProto) -> None:
    """Put a tensor's values elsewhere."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def external_constant(model: ModelProto) -> None:
    shape = numpy_helper.from_array(np.zeros(1))
    external(shape)
    branch(model).node.insert(0, helper.make_node("ConstantOfShape", ["x"], ["made"], value=shape))


def function(model: ModelProto) -> None:
    made = helper.make_function("own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [])
    model.functions.append(made)


def nested(model: ModelProto) -> None:
    """Branches within branches."""
    graph = model.graph
    for _ in range(9):
        node = graph.node.add(op_type="If")
        attribute = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH)
        attribute.g.name = "deeper"
        graph = attribute.g


def looped(model: ModelProto) -> None:
    node = model.graph.node.add(op_type="Add")
    node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.name = "body"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda model: model.graph.node.add(op_type="RandomNormal"), "the operator 'RandomNormal' is not one"),
        (lambda model: model.graph.node.add(op_type="Add", domain="com.acme"), "the operator 'com.acme.Add' is not"),
        (lambda model: branch(model).node.add(op_type="Loop"), "the operator 'Loop' is not one"),
        (lambda model: external(model.graph.initializer[0]), "a tensor holds external data"),
        (external_constant, "a tensor holds external data"),
        (function, "a model holds a function of its own"),
        (nested, "nested more than"),
        (looped, "the operator Add has a graph of its own"),
        (lambda model: model.graph.sparse_initializer.add(), "a graph holds a sparse tensor"),
        (lambda model: model.training_info.add(), "a model holds training information"),
        (lambda model: setattr(model, "ir_version", 99), "its IR version is 99, this nelbo reads 10"),
        (lambda model: setattr(model.opset_import[0], "version", 99), r"its opsets are '' 99; expected '' 20"),
        (lambda model: model.opset_import.add(domain="com.microsoft", version=1), r"'' 20, 'com\.microsoft' 1;"),
        (lambda model: model.ClearField("opset_import"), "its opsets are none"),
        (lambda model: model.ClearField("graph"), "it holds 0 graphs"),
    ],
)
def test_what_the_exporter_does_not_write_is_refused(models: Path, tmp_path: Path, change: Change, told: str) -> None:
    """The error names the file, what was found and what was expected."""
    with pytest.raises(BundleError, match=rf"score\.onnx: .*{told}"):
        check_graph(changed(models, tmp_path, change), OPSET)


def test_a_graph_is_read_as_it_was_written(models: Path, tmp_path: Path) -> None:
    """Written again by the package `onnx` it passes too: the order of fields is not what decides."""
    check_graph(changed(models, tmp_path, lambda model: None), OPSET)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a model",
        b"\x08\x0a",
        b"\x3a\xff\xff\xff\xff\x0f",
        b"\x0b",
        b"\x00\x01",
        b"\x08" + b"\xff" * 11,
        b"\x3a\x00\x3a\x00",
        b"\x3a\x02\x0a",
        b"\x38\x01",
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, cut short, of other wire types, with two graphs."""
    file = tmp_path / bundle.SCORE
    file.write_bytes(content)

    with pytest.raises(BundleError, match=r"score\.onnx: "):
        check_graph(file, OPSET)


def test_fields_are_read_by_number() -> None:
    """Numbers, and bytes of the length that is told or that the wire type has."""
    message = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1d\x00\x00\x80\x3f" + b"\x21" + bytes(8)

    read = [
        (number, value if isinstance(value, int) else bytes(value)) for number, value in fields(memoryview(message))
    ]

    assert read == [(1, 150), (2, b"hi"), (3, b"\x00\x00\x80\x3f"), (4, bytes(8))]


@pytest.mark.parametrize("cut", [1, 2, 4, 6, 8, 10, 15])
def test_a_message_that_is_cut_short_is_none(cut: int) -> None:
    """Wherever a field is cut."""
    message = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1d\x00\x00\x80\x3f" + b"\x21" + bytes(8)

    with pytest.raises(WireError):
        list(fields(memoryview(message[:cut])))


def test_a_sealed_graph_that_is_not_allowed_never_reaches_onnxruntime(models: Path, tmp_path: Path) -> None:
    """Whoever can write SHA256SUMS cannot make the service read another file."""
    folder = Path(shutil.copytree(models / "plant" / "1", tmp_path / "plant" / "1"))
    changed(models, folder, lambda model: external(model.graph.initializer[0]))
    bundle.seal(folder, bundle.read(models / "plant" / "1").manifest)

    with pytest.raises(BundleError, match=r"score\.onnx: a tensor holds external data, which is not allowed"):
        bundle.read(folder)
