"""BentoML with one service, one worker: `Batched` puts requests together, `Single` does not."""

import bentoml
import numpy as np
from graph import open_graph, score


@bentoml.service(workers=1)
class Batched:
    """The reference graph, with adaptive batching."""

    def __init__(self) -> None:
        self.graph = open_graph()

    @bentoml.api(batchable=True, max_batch_size=1024, route="/score")
    def score(self, rows: np.ndarray) -> np.ndarray:
        """The scores of the batch's rows."""
        return score(self.graph, rows)


@bentoml.service(workers=1)
class Single:
    """The reference graph, request by request."""

    def __init__(self) -> None:
        self.graph = open_graph()

    @bentoml.api(route="/score")
    def score(self, rows: np.ndarray) -> np.ndarray:
        """The scores of the request's rows."""
        return score(self.graph, rows)
