"""Ray Serve with one replica and batching."""

import os

import numpy as np
import ray
from graph import open_graph, score
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=256)
class Score:
    """The reference graph."""

    def __init__(self) -> None:
        self.graph = open_graph()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001)
    async def score(self, requests: list[np.ndarray]) -> list[list[float]]:
        """The scores of each request of the batch, all run at once."""
        ends = np.cumsum([len(rows) for rows in requests])[:-1]
        return [part.tolist() for part in np.split(score(self.graph, np.concatenate(requests)), ends)]

    async def __call__(self, request: Request) -> dict[str, list[float]]:
        """Answer one request."""
        rows = np.asarray((await request.json())["rows"], dtype=np.float64)
        return {"score": await self.score(rows)}


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    environment = {"env_vars": {"PYTHONPATH": here, "SERVING_GRAPH": os.environ["SERVING_GRAPH"]}}
    ray.init(num_cpus=2, include_dashboard=False, runtime_env=environment)
    http = {"host": "127.0.0.1", "port": int(os.environ["SERVING_PORT"])}
    serve.start(http_options=http, logging_config={"enable_access_log": False})
    serve.run(Score.bind(), route_prefix="/score", blocking=True)
