"""Density of the gas turbine: nats a row on the held-out fifth, nelbo beside Gaussian, mixtures and `mse + 1e-4·KL`.

    python -m benchmarks.gas_turbine

80/20 random split, seed 0; nelbo takes its validation rows from the 80. Then, of the nelbo model: rays out of the data,
and onnxruntime against torch.
"""

import time
from functools import partial

import numpy as np
import torch

from app.array import Array
from app.session import RUN_SIZES
from benchmarks.densities import Estimate, gaussian, mixture, of_raw_rows
from benchmarks.fitting import Fit, data_folder, fit, machine
from training.config import Config
from training.graphs import Graphs
from training.parity import rows_to_compare
from training.questions import Score


def main() -> None:
    """Print the tables."""
    print(machine())
    x = np.loadtxt(data_folder() / "gas-turbine" / "gas_turbine.csv", delimiter=",", skiprows=1)
    order = np.random.default_rng(0).permutation(len(x))
    held_out, train = x[order[: len(x) // 5]], x[order[len(x) // 5 :]]
    print(f"{len(train)} rows to fit, {len(held_out)} held out\n")
    print(f"{'model':44} {'nats a row':>10} {'minutes':>8}")
    _tell("Gaussian", gaussian, train, held_out)
    for components in (5, 20, 50):
        _tell(f"mixture of {components} Gaussians", partial(mixture, components=components), train, held_out)
    asked = fit(train, Config(kl_weight=1e-4, latent_size=5, components=0), held_out)
    _row("mse + 1e-4·KL, code size 5, as its Gaussian", asked.engine.score(held_out).score.mean(), asked.seconds)
    standard = fit(train, Config(components=0), held_out)
    _row("nelbo with the N(0, I) prior", standard.engine.score(held_out).score.mean(), standard.seconds)
    nelbo = fit(train, Config(), held_out)
    _row("nelbo, default", nelbo.engine.score(held_out).score.mean(), nelbo.seconds)
    print()
    rays(nelbo, held_out)
    parity(nelbo, held_out)


def rays(nelbo: Fit, held_out: Array) -> None:
    """How many of 256 random and all axis directions have a score that does not rise from decade to decade."""
    mean, scale = (np.array([getattr(s, key) for s in nelbo.engine.manifest.sensors]) for key in ("mean", "scale"))
    random = np.random.default_rng(0).standard_normal((256, len(mean)))
    directions = np.concatenate(
        [random / np.abs(random).max(axis=1, keepdims=True), np.eye(len(mean)), -np.eye(len(mean))]
    )
    scores = np.array([nelbo.engine.score(mean + t * scale * directions).score for t in 10.0 ** np.arange(1, 7)])
    highest = np.quantile(nelbo.engine.score(held_out).score, 0.999)
    falls = int((np.diff(scores, axis=0) <= 0).any(axis=0).sum())
    print(f"rays: {len(directions)} directions, 10 to 10⁶ scales: {falls} fall anywhere,")
    print(
        f"      {(~np.isfinite(scores)).sum()} are not finite, {(scores[-1] <= highest).sum()} rays end below the "
        f"held-out 99.9 % quantile; the least score at 10 scales is {scores[0].min():.1f} nats"
    )


def parity(nelbo: Fit, held_out: Array) -> None:
    """The largest difference between onnxruntime's and torch's scores on 10⁴ rows, far-out ones included."""
    sensors = nelbo.engine.manifest.sensors
    x = rows_to_compare(held_out, sensors, 10_000)
    model = Score(Graphs(nelbo.vae, sensors)).eval()
    with torch.no_grad():
        expected = torch.cat([model(rows)[0] for rows in torch.tensor(x).split(RUN_SIZES["cpu"].complete)]).numpy()
    found = nelbo.engine.score(x).score
    share = np.abs(found - expected) / (1e-4 + 1e-5 * np.abs(expected))
    print(f"parity: {len(x)} rows, the largest difference is {share.max():.3f} of 1e-4 + 1e-5·|score|")


def _tell(name: str, estimate: Estimate, train: Array, held_out: Array) -> None:
    started = time.monotonic()
    nats = of_raw_rows(estimate, train, held_out)
    _row(name, nats, time.monotonic() - started)


def _row(name: str, nats: float, seconds: float) -> None:
    print(f"{name:44} {nats:10.3f} {seconds / 60:8.1f}", flush=True)


if __name__ == "__main__":
    main()
