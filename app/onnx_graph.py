"""What a graph's file may hold, looked up in its bytes before onnxruntime sees them.

A graph is computation that comes with data: an operator of unknown code, a file that it reads elsewhere or a function
that hides either has no place in a bundle. What is allowed is what nelbo-train writes, and no more. The numbers of the
fields are those of onnx.proto; this reads them without the package `onnx`, which the service does not have.
"""

from collections.abc import Iterator
from pathlib import Path

from app.errors import BundleError
from app.protobuf import Value, WireError, fields

IR = 10
"""The version of ONNX's own format that is written and read."""
OPERATORS = frozenset({
    "Abs", "Add", "Cast", "Clip", "Concat", "ConstantOfShape", "CumSum", "Div", "Equal", "Exp", "Expand", "EyeLike",
    "Gather", "GatherElements", "GatherND", "Gemm", "Greater", "Identity", "If", "IsNaN", "Log", "MatMul", "Max",
    "Min", "Mul", "Neg", "NonZero", "Not", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMin", "ReduceSum",
    "Reshape", "Round", "ScatterND", "Shape", "Sigmoid", "Sign", "Size", "Slice", "Split", "Sqrt", "Squeeze", "Sub",
    "Tanh", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where",
})  # fmt: skip
"""Of ONNX's own domain, the only one. None of them is random, reads a file or loops."""
BRANCHING, BRANCHES = "If", frozenset({"then_branch", "else_branch"})
"""The one operator that has graphs of its own, and how these are called."""
MOST_NESTED = 4
"""Graphs within graphs; the exporter nests one."""

GRAPH = {1: "node", 2: "name", 5: "initializer", 10: "doc_string", 11: "input", 12: "output"}
NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute", 6: "doc_string", 7: "domain"}
ATTRIBUTE = {
    1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 6: "g", 7: "floats", 8: "ints", 13: "doc_string", 20: "type",
}  # fmt: skip
TENSOR = {
    1: "dims", 2: "data_type", 4: "float_data", 5: "int32_data", 7: "int64_data", 8: "name", 9: "raw_data",
    10: "double_data", 12: "doc_string",
}  # fmt: skip
OPSET = {1: "domain", 2: "version"}
MODEL = {
    1: "ir_version", 2: "producer_name", 3: "producer_version", 5: "model_version", 6: "doc_string", 7: "graph",
    8: "opset_import",
}  # fmt: skip
REFUSED = {
    ("a model", 20): "training information",
    ("a model", 25): "a function of its own",
    ("a graph", 15): "a sparse tensor",
    ("an attribute", 10): "tensors",
    ("an attribute", 11): "graphs",
    ("an attribute", 21): "a reference",
    ("a tensor", 13): "external data",
    ("a tensor", 14): "external data",
}
"""What may be met and is refused by name; anything else that is not allowed is told by its field's number."""

Message = dict[str, list[Value]]
"""A message's fields by name, each with its values in their order."""


class _Unallowed(Exception):
    """Something that is not allowed in a graph."""


def check_graph(file: Path, opset: int) -> None:
    """See that a graph holds nothing but what nelbo-train writes, for the opset that the manifest says.

    Raises:
        BundleError: it holds something else, or is no model.
    """
    try:
        _check_model(memoryview(file.read_bytes()), opset)
    except (_Unallowed, WireError) as error:
        raise BundleError(file.parent, f"{file.name}: {error}") from error


def _check_model(content: memoryview, opset: int) -> None:
    model = _read("a model", content, MODEL)
    ir = _one(model, "ir_version")
    if ir != IR:
        raise _Unallowed(f"its IR version is {_shown(ir)}, this nelbo reads {IR}")
    imports = [_read("an opset", value, OPSET) for value in _messages(model, "opset_import")]
    found = [(_text(given, "domain"), _one(given, "version")) for given in imports]
    if found != [("", opset)]:
        told = ", ".join(f"{domain!r} {_shown(version)}" for domain, version in found) or "none"
        raise _Unallowed(f"its opsets are {told}; expected '' {opset}, which the manifest says, and no other")
    graphs = list(_messages(model, "graph"))
    if len(graphs) != 1:
        raise _Unallowed(f"it holds {len(graphs)} graphs, expected one")
    _check_graph(graphs[0], nested=0)


def _check_graph(content: memoryview, nested: int) -> None:
    if nested > MOST_NESTED:
        raise _Unallowed(f"its graphs are nested more than {MOST_NESTED} times")
    graph = _read("a graph", content, GRAPH)
    for tensor in _messages(graph, "initializer"):
        _read("a tensor", tensor, TENSOR)
    for node in _messages(graph, "node"):
        _check_node(_read("a node", node, NODE), nested)


def _check_node(node: Message, nested: int) -> None:
    operator, domain = _text(node, "op_type"), _text(node, "domain")
    if domain or operator not in OPERATORS:
        raise _Unallowed(f"the operator {_named(domain, operator)} is not one that nelbo-train writes")
    for content in _messages(node, "attribute"):
        attribute = _read("an attribute", content, ATTRIBUTE)
        for tensor in _messages(attribute, "t"):
            _read("a tensor", tensor, TENSOR)
        for graph in _messages(attribute, "g"):
            if operator != BRANCHING or _text(attribute, "name") not in BRANCHES:
                raise _Unallowed(f"the operator {operator} has a graph of its own; expected one in {BRANCHING} only")
            _check_graph(graph, nested + 1)


def _read(what: str, content: memoryview, names: dict[int, str]) -> Message:
    message: Message = {}
    for number, value in fields(content):
        if number not in names:
            raise _Unallowed(f"{what} holds {REFUSED.get((what, number), f'field {number}')}, which is not allowed")
        message.setdefault(names[number], []).append(value)
    return message


def _messages(message: Message, name: str) -> Iterator[memoryview]:
    for value in message.get(name, ()):
        if isinstance(value, int):
            raise _Unallowed(f"{name} is a number, expected a message")
        yield value


def _one(message: Message, name: str) -> Value | None:
    """The one value of a field; none where there is none."""
    values = message.get(name, [])
    if len(values) > 1:
        raise _Unallowed(f"{name} is told {len(values)} times")
    return values[0] if values else None


def _text(message: Message, name: str) -> str:
    value = _one(message, name)
    return "" if value is None else _shown(value)


def _shown(value: Value | None) -> str:
    if value is None or isinstance(value, int):
        return str(value)
    return bytes(value[:64]).decode("utf-8", "replace")


def _named(domain: str, operator: str) -> str:
    return repr(f"{domain}.{operator}" if domain else operator)
