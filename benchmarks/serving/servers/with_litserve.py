"""LitServe with one worker and batching."""

import os
from typing import Any

import litserve
import numpy as np
from graph import open_graph, score


class Score(litserve.LitAPI):
    """The reference graph."""

    def setup(self, device: str) -> None:
        """Open the graph."""
        self.graph = open_graph()

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        """Rows of a request's JSON."""
        return np.asarray(request["rows"], dtype=np.float64)

    def batch(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """Requests may be of any number of rows, so they stay a list."""
        return inputs

    def predict(self, x: list[np.ndarray]) -> list[np.ndarray]:
        """The scores of each request of the batch, all run at once."""
        return np.split(score(self.graph, np.concatenate(x)), np.cumsum([len(rows) for rows in x])[:-1])

    def unbatch(self, output: list[np.ndarray]) -> list[np.ndarray]:
        """One answer a request."""
        return output

    def encode_response(self, output: np.ndarray) -> dict[str, list[float]]:
        """A request's answer as JSON."""
        return {"score": output.tolist()}


if __name__ == "__main__":
    api = Score(max_batch_size=32, batch_timeout=0.001, api_path="/score")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(os.environ["SERVING_PORT"]), generate_client_file=False, log_level="warning")
