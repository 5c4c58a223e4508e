"""How many constant draws a score should be a mean of: its error beside its cost, as the draws are doubled.

    python -m benchmarks.draws

The gas turbine, 80/20 random split, seed 0, with the bundled model's width and components. The error of a row's score
is its distance from the score of REFERENCE draws; the cost is that of score.onnx on one core, 32 complete rows a run.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch

from app import bundle
from app.array import Array
from app.session import Graph
from benchmarks.fitting import Fit, data_folder, fit, machine
from benchmarks.serving.graph_alone import score_graph, seconds_a_row
from training.config import read_config
from training.graphs import Graphs
from training.onnx_file import write_graph
from training.questions import Score
from training.vae import draws_for

ROWS, RUN, REFERENCE, SECONDS = 2000, 32, 4096, 3.0
CONFIG = Path(__file__).parents[1] / "models" / "gas-turbine.toml"


def main() -> None:
    """Print a line for each number of draws."""
    print(machine())
    x = np.loadtxt(data_folder() / "gas-turbine" / "gas_turbine.csv", delimiter=",", skiprows=1)
    order = np.random.default_rng(0).permutation(len(x))
    held_out, train = x[order[: len(x) // 5]], x[order[len(x) // 5 :]]
    nelbo = fit(train, read_config(CONFIG), held_out)
    rows = held_out[:ROWS]
    expected = reference(nelbo, rows)
    fewest = draws_for(nelbo.vae.shape.latents)
    print(f"{ROWS} held-out rows, {nelbo.vae.shape.latents} latents, beside {REFERENCE} draws\n")
    print(f"{'draws':>5} {'µs a row':>8} {'error, nats':>11} {'99 %':>6} {'mean':>7}")
    for draws in (fewest, 2 * fewest, 4 * fewest, 8 * fewest):
        with tempfile.TemporaryDirectory() as folder:
            graph = exported(nelbo, draws, Path(folder))
            error = graph(rows)[0] - expected
            cost = seconds_a_row(graph, rows[:RUN], 0, SECONDS)
        off = np.abs(error)
        print(
            f"{draws:5} {1e6 * cost:8.1f} {np.sqrt(np.mean(error**2)):11.3f} {np.quantile(off, 0.99):6.3f} "
            f"{error.mean():7.3f}",
            flush=True,
        )
    print(f"\nthe scores' own spread: {expected.std():.2f} nats")


def exported(nelbo: Fit, draws: int, folder: Path) -> Graph:
    """score.onnx with so many draws."""
    sensors = nelbo.engine.manifest.sensors
    model = Score(Graphs(nelbo.vae, sensors, draws)).eval()
    x = torch.zeros(3, len(sensors), dtype=torch.float64)
    x[1, 0] = x[2] = torch.nan
    write_graph(folder / bundle.SCORE, model, {"x": x}, ["score", "kl", "per_sensor"])
    return score_graph(folder / bundle.SCORE, len(sensors))


def reference(nelbo: Fit, rows: Array) -> Array:
    """The scores of rows [n, D] with REFERENCE draws, by torch."""
    model = Score(Graphs(nelbo.vae, nelbo.engine.manifest.sensors, REFERENCE)).eval()
    with torch.no_grad():
        parts = [model(some)[0].numpy() for some in torch.tensor(rows).split(RUN)]
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
