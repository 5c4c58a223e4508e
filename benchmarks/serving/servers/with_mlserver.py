"""MLServer with a runtime of its own and adaptive batching, one process."""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from graph import open_graph, score
from mlserver import MLModel
from mlserver.cli import main
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

SETTINGS = {"host": "127.0.0.1", "parallel_workers": 0, "metrics_endpoint": None, "debug": False}
MODEL = {"name": "score", "implementation": "with_mlserver.Score", "max_batch_size": 32, "max_batch_time": 0.001}


class Score(MLModel):
    """The reference graph."""

    async def load(self) -> bool:
        """Open the graph."""
        self.graph = open_graph()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The scores of the batch's rows."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        output = NumpyCodec.encode_output("score", score(self.graph, rows))
        return InferenceResponse(model_name=self.name, outputs=[output])


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        ports = {"http_port": int(os.environ["SERVING_PORT"]), "grpc_port": 0}
        Path(folder, "settings.json").write_text(json.dumps(SETTINGS | ports))
        Path(folder, "model-settings.json").write_text(json.dumps(MODEL))
        sys.argv = ["mlserver", "start", folder]
        main()
