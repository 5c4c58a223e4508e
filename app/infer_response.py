"""From an answer's arrays to the bytes of an inference response (Open Inference Protocol, with binary tensors)."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Struct

from app.infer_request import Wanted

DATATYPES = {"f": "FP64", "b": "BOOL"}
"""By the kind that numpy tells of an array."""

Arrays = Mapping[str, npt.NDArray[np.float64] | npt.NDArray[np.bool_]]


class InferResponse(Struct, frozen=True):
    """A body, and how many of its bytes are JSON where raw tensors follow: Inference-Header-Content-Length."""

    body: bytes
    json_bytes: int | None


def write_infer(
    name: str, version: int, request_id: str | None, outputs: Sequence[Wanted], arrays: Arrays
) -> InferResponse:
    """The wanted outputs in their order, each as JSON or as the raw bytes that it asks for.

    A number that is not finite is our fault, and raises.
    """
    headings, parts = [], []
    for output in outputs:
        array = np.ascontiguousarray(arrays[output.name])
        if not np.isfinite(array).all():
            raise FloatingPointError(f"the answer's {output.name} is not finite")
        heading: dict[str, object] = {
            "name": output.name,
            "shape": array.shape,
            "datatype": DATATYPES[array.dtype.kind],
        }
        if output.binary:
            parts.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
            heading["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            heading["data"] = array.ravel()
        headings.append(heading)
    about = {"model_name": name, "model_version": str(version)} | ({} if request_id is None else {"id": request_id})
    text = orjson.dumps({**about, "outputs": headings}, option=orjson.OPT_SERIALIZE_NUMPY)
    return InferResponse(b"".join([text, *parts]), len(text) if parts else None)
