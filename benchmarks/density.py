"""Density of four real tables: held-out nats a row of nelbo's one default beside its rivals, less is better.

    taskset -c 0 python -m benchmarks.density [gas-turbine] [machine-1-6] [22_magic.gamma] [44_Wilt]

80/20 random split, seed 0, of which every model gets the 80; nelbo and the flow stop by a fifth of it, and the kernel's
width is chosen by some of it. A score bounds −ln p(x) from above; what the model's own density is, the tighter bound
tells. The flow is given the time that nelbo took, and may stop earlier. `taskset` gives every
model one thread. Nats are those of rows in their own units. The tables are those whose columns are continuous, and of
the server's 38 columns the ten that are: a column of few values has as much density as a model dares to claim.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np

from app.array import Array
from benchmarks import protocol, segments
from benchmarks.densities import Estimate, gaussian, kernel, mixture, of_raw_rows
from benchmarks.fitting import data_folder, fit, machine
from training.config import Config

FEWEST_VALUES = 0.1
"""Distinct values a row that a server's sensor must take to count as continuous; most of them are counters or steps."""

DRAWS = 256
"""Of the importance-weighted bound."""


def main(chosen: list[str]) -> None:
    """Print a block a table."""
    print(machine(), flush=True)
    if find_spec("zuko") is None:
        print("zuko is not installed: the spline flow is left out")
    if unknown := set(chosen) - TABLES.keys():
        sys.exit(f"no such table: {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    for name in chosen or TABLES:
        x = TABLES[name](name)
        order = np.random.default_rng(0).permutation(len(x))
        _table(name, x[order[len(x) // 5 :]], x[order[: len(x) // 5]])


def _table(name: str, train: Array, held_out: Array) -> None:
    print(f"\n{name}: {len(train)} rows of {train.shape[1]} sensors to fit, {len(held_out)} held out")
    print(f"{'model':28} {'nats a row':>10} {'seconds':>8}", flush=True)
    for rival, estimate in _quick().items():
        _tell(rival, estimate, train, held_out)
    model = fit(train, Config(), held_out)
    if find_spec("zuko"):
        from benchmarks.spline_flow import spline_flow  # here, since zuko is an optional extra

        _tell("neural spline flow", partial(spline_flow, seconds=model.seconds), train, held_out)
    score, bound = model.engine.score(held_out).score, model.engine.bound(held_out, DRAWS, seed=0).value
    _line("nelbo, score", float(score.mean()), model.seconds)
    _line(f"nelbo, bound of {DRAWS} draws", float(bound.mean()), model.seconds)


def _quick() -> dict[str, Estimate]:
    mixtures = {f"mixture of {count} Gaussians": partial(mixture, components=count) for count in (5, 20, 50)}
    return {"Gaussian": gaussian, **mixtures, "kernel": kernel}


def _tell(name: str, estimate: Estimate, train: Array, held_out: Array) -> None:
    """Fit and print; the seconds are those of fitting and asking, of which only the kernel's asking counts."""
    started = time.monotonic()
    nats = of_raw_rows(estimate, train, held_out)
    _line(name, nats, time.monotonic() - started)


def _line(name: str, nats: float, seconds: float) -> None:
    print(f"{name:28} {nats:10.3f} {seconds:8.1f}", flush=True)


def _gas_turbine(name: str) -> Array:
    return np.loadtxt(data_folder() / name / "gas_turbine.csv", delimiter=",", skiprows=1)


def _server(name: str) -> Array:
    """The continuous sensors of a server while it is well."""
    x = segments.read(data_folder() / "server-metrics" / f"{name}.npz").train
    return x[:, continuous(x)]


def continuous(x: Array) -> list[int]:
    """The columns of x [n, D] that take at least `FEWEST_VALUES`·n values."""
    return [d for d, column in enumerate(x.T) if len(np.unique(column)) >= FEWEST_VALUES * len(x)]


def _normal_rows(name: str) -> Array:
    table = protocol.read(data_folder() / "adbench" / f"{name}.npz")
    return table.x[~table.anomalous]


TABLES: dict[str, Callable[[str], Array]] = {
    "gas-turbine": _gas_turbine,
    "machine-1-6": _server,
    "22_magic.gamma": _normal_rows,
    "44_Wilt": _normal_rows,
}

if __name__ == "__main__":
    main(sys.argv[1:])
