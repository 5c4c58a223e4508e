"""KServe's client asks; `test_stock_clients` runs this in an environment of its own and compares what it was told."""

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


def request(rows: np.ndarray, binary: bool) -> InferRequest:
    """The scores of rows [n, D], either way raw or as JSON."""
    x = InferInput("x", list(rows.shape), "FP64")
    x.set_data_from_numpy(rows, binary_data=binary)
    return InferRequest("plant", [x], parameters={"binary_data_output": binary})


async def ask(address: str, rows: np.ndarray) -> dict[str, object]:
    """Everything that the client can be asked to do."""
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        scores = {}
        for name, binary in (("binary", True), ("json", False)):
            answer = await client.infer(address, request(rows, binary), model_name="plant")
            (score,) = (output for output in answer.outputs if output.name == "score")
            scores[name] = score.as_numpy().tolist()
        try:
            await client.infer(address, request(rows[:, :2].copy(), True), model_name="plant")
            refused = ""
        except httpx.HTTPStatusError as error:
            refused = str(error)
        return scores | {
            "refused": refused,
            "live": await client.is_server_live(address),
            "ready": await client.is_server_ready(address),
            "model_ready": await client.is_model_ready(address, "plant"),
            "no_model_ready": await client.is_model_ready(address, "pump"),
        }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(asyncio.run(ask(asked["address"], np.array(asked["rows"], dtype=np.float64)))))
