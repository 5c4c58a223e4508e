"""What every peer computes: the reference graph's scores, by onnxruntime with the options that nelbo sets."""

import os

import numpy as np
import numpy.typing as npt
import onnxruntime as ort


def open_graph() -> ort.InferenceSession:
    """The graph that the environment names."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return ort.InferenceSession(os.environ["SERVING_GRAPH"], options, providers=["CPUExecutionProvider"])


def score(graph: ort.InferenceSession, rows: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The scores [n] of rows [n, D]."""
    (scores,) = graph.run(["score"], {"x": np.asarray(rows, dtype=np.float64)})
    return scores
