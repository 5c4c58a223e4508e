"""Work for some rows, moved to where only they pay for it.

The exporter writes `y.index_put(rows, f(x[rows]))` as steps that run whether there are such rows or not, and a step
over an empty array is not free. `torch.cond` would say it too, but writes more into the graph than f.
"""

from collections.abc import Iterable

from onnx import GraphProto, NodeProto, TensorProto, helper

FOUND, PUT = "NonZero", "ScatterND"


def branch(graph: GraphProto) -> None:
    """Put what lies between the rows that are found and where they are put into an `If`, which asks if there are any.

    What is put is float64. A graph that puts nothing stays as it is.
    """
    found = next((node for node in graph.node if node.op_type == FOUND), None)
    ends = [node for node in graph.node if node.op_type == PUT]
    if found is None or not ends:
        return
    within = _behind(found.output, graph, until=PUT)
    beyond = _behind([end.output[0] for end in ends], graph)
    steps = [node for node in graph.node if node.output[0] in within]
    before = [node for node in graph.node if node.output[0] not in within | beyond]
    after = [node for node in graph.node if node.output[0] in beyond]
    put = [helper.make_node(PUT, end.input, [f"some_{end.output[0]}"]) for end in ends]
    kept = [helper.make_node("Identity", [end.input[0]], [f"none_{end.output[0]}"]) for end in ends]
    some = _body("some", [*(step for step in steps if step.op_type != PUT), *put], put)
    decision = [
        helper.make_node("Size", found.output, ["found_count"]),
        helper.make_node("Cast", ["found_count"], ["found_any"], to=TensorProto.BOOL),
        helper.make_node(
            "If",
            ["found_any"],
            [end.output[0] for end in ends],
            then_branch=some,
            else_branch=_body("none", kept, kept),
        ),
    ]
    del graph.node[:]
    graph.node.extend([*before, *decision, *after])


def _behind(names: Iterable[str], graph: GraphProto, until: str = "") -> set[str]:
    """First outputs of all nodes that need one of `names`, not of those that need nodes of the type `until`."""
    needed, behind = set(names), set()
    for node in graph.node:  # they come in an order in which every input is there
        if not needed.isdisjoint(node.input):
            behind.add(node.output[0])
            if node.op_type != until:
                needed.update(node.output)
    return behind


def _body(name: str, steps: list[NodeProto], ends: list[NodeProto]) -> GraphProto:
    outputs = [helper.make_tensor_value_info(end.output[0], TensorProto.DOUBLE, None) for end in ends]
    return helper.make_graph(steps, name, [], outputs)
