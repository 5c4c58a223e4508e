"""A whole run: the steps that validation rows find, the refit with them, and what a run in time order leaves out."""

import numpy as np
import pytest
import torch

from app.array import Array
from tests.conftest import plant_rows
from training.config import Config, Limits
from training.data import describe
from training.descent import Evaluation
from training.fit import Rows
from training.standardise import standardise
from training.train import DENSITY, REFIT, Fitted, train

ROWS = 800


def run(config: Config, x: Array, validation: Array, minutes: float | None = None) -> tuple[Fitted, list[Evaluation]]:
    """What rows x are fitted to, stopped by `validation`, and every evaluation that was told."""
    sensors = describe(x, [f"s{d}" for d in range(x.shape[1])], [None] * x.shape[1])
    parts = standardise(x, sensors), standardise(validation, sensors)
    told: list[Evaluation] = []
    torch.set_num_threads(1)
    return train(config, sensors, parts, Limits(minutes, 1), None, False, told.append), told


def test_the_refit_takes_the_steps_that_were_found() -> None:
    """As many as at the least validation nats; its rows are judged by nobody, and every evaluation is in the curve."""
    fitted, told = run(Config(width=16, steps=300), plant_rows(ROWS, seed=0)[:, :3], plant_rows(200, seed=1)[:, :3])

    density = [point for point in fitted.curve if point.stage == DENSITY]
    refit = [point for point in fitted.curve if point.stage == REFIT]
    assert list(fitted.curve) == told
    assert [point.stage for point in told] == sorted((p.stage for p in told), key=[DENSITY, REFIT].index)
    assert refit[-1].step == min((point.validation_nats, point.step) for point in density)[1]
    assert all(point.validation_nats is None for point in refit)


def test_the_refit_knows_the_validation_rows() -> None:
    """A cluster that only the validation rows have is likely after a refit and a surprise without one."""
    x, cluster = plant_rows(ROWS, seed=0)[:, :3], plant_rows(100, seed=1)[:, :3] + np.array([12.0, 0.0, 0.0])
    random, time = (run(Config(width=16, steps=150, split=how), x, cluster)[0].vae for how in ("random", "time"))
    rows: Rows = standardise(cluster, describe(x, "abc", [None] * 3))

    def likely(vae: torch.nn.Module) -> float:
        return float(vae.background.elbo(rows.x, rows.observed).negative.mean())

    assert likely(random) < likely(time) - 0.5


def test_a_run_in_time_order_keeps_its_validation_rows_out() -> None:
    """They also tell whether scores move, so there is no refit."""
    fitted, _ = run(Config(width=16, steps=150, split="time"), plant_rows(ROWS, seed=0), plant_rows(100, seed=1))

    assert {point.stage for point in fitted.curve} == {DENSITY}


@pytest.mark.parametrize("minutes", [0.0, 1e-5])
def test_a_run_without_time_still_ends_with_a_model(minutes: float) -> None:
    """It is the one that every run starts from."""
    fitted, _ = run(Config(width=16), plant_rows(ROWS, seed=0), plant_rows(100, seed=1), minutes)

    assert all(torch.isfinite(parameter).all() for parameter in fitted.vae.parameters())


def test_neighbours_take_over_where_rows_are_few_and_clustered() -> None:
    """Of rows in forty tight clusters they get a share; of plain Gaussian ones next to none."""
    generator = np.random.default_rng(0)
    centres = 5 * generator.standard_normal((40, 5))
    clustered = centres[generator.integers(40, size=500)] + 0.02 * generator.standard_normal((500, 5))
    plain = generator.multivariate_normal(np.zeros(5), np.eye(5) + 0.5, 500)
    shares = []
    for x in (clustered, plain):
        fitted, _ = run(Config(width=16, steps=45), x[:400], x[400:])
        assert fitted.vae.neighbours is not None
        shares.append(fitted.vae.neighbours.log_weight.exp().item())

    assert shares[0] > 0.3
    assert shares[1] < 0.1
