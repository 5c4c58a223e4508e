"""The neighbours' kernel density against scipy's t distribution, complete and with sensors missing, and its share."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_t
from torch import Tensor

from training.neighbours import Neighbours, widths
from training.stacking import weight_of
from training.student import DEGREES

SENSORS, KERNELS = 4, 32


@pytest.fixture
def neighbours() -> Neighbours:
    """Kernels on 32 rows of four sensors."""
    made = Neighbours(SENSORS, KERNELS)
    made.plant(torch.randn(KERNELS, SENSORS, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    return made


def exact(of: Neighbours, x: Tensor, seen: list[int]) -> np.ndarray:
    """ln p of the sensors seen in rows x [n, D], in nats."""
    width = of.log_width.exp().item()
    kernels = [
        multivariate_t(row[seen].numpy(), width**2 * np.eye(len(seen)), df=DEGREES).logpdf(x[:, seen].numpy())
        for row in of.rows
    ]
    return np.asarray(logsumexp(kernels, axis=0) - np.log(KERNELS))


@pytest.mark.parametrize("seen", [[0, 1, 2, 3], [0, 2], [3]])
def test_it_is_the_mean_of_t_kernels_of_the_sensors_seen(neighbours: Neighbours, seen: list[int]) -> None:
    """−ELBO is exact for complete rows and marginals, near and far out; missing sensors cost nothing."""
    near = torch.randn(20, SENSORS, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = torch.cat([near, 1e3 * near, 1e9 * near])
    observed = torch.zeros_like(x)
    observed[:, seen] = 1

    parts = neighbours.elbo(x * observed, observed)

    np.testing.assert_allclose(parts.negative.numpy(), -exact(neighbours, x, seen), rtol=1e-9)
    assert (parts.per_sensor * (1 - observed) == 0).all()


def test_a_row_with_nothing_observed_costs_nothing(neighbours: Neighbours) -> None:
    """Score 0 up to rounding."""
    nothing = torch.zeros(1, SENSORS, dtype=torch.float64)

    assert abs(neighbours.elbo(nothing, nothing).negative.item()) < 1e-9


def test_it_predicts_what_its_samples_say(neighbours: Neighbours) -> None:
    """Given nothing, mean and scale are those of 200,000 samples; beside a kernel alone, nearly that row."""
    noise = torch.randn(200_000, neighbours.noise_size + SENSORS, dtype=torch.float64, generator=torch.Generator())
    drawn = neighbours.sample(*noise.split([neighbours.noise_size, SENSORS], dim=-1))
    nothing = torch.zeros(1, SENSORS, dtype=torch.float64)

    predicted = neighbours.predict(nothing, nothing)

    torch.testing.assert_close(predicted.mean[0], drawn.mean(dim=0), atol=0.02, rtol=0)
    torch.testing.assert_close(predicted.variance.sqrt()[0], drawn.std(dim=0), atol=0, rtol=0.05)
    lonely = neighbours.rows.clone()
    lonely[0] = 50.0
    neighbours.rows.copy_(lonely)
    x, observed = torch.tensor([[50.0, 0.0, 0.0, 0.0]]).double(), torch.tensor([[1.0, 0.0, 0.0, 0.0]]).double()
    torch.testing.assert_close(
        neighbours.predict(x, observed).mean[0, 1:], torch.full((3,), 50.0).double(), atol=0.5, rtol=0
    )


def test_the_width_is_the_likeliest_for_rows_left_out(neighbours: Neighbours) -> None:
    """Planted, every other width makes the rows less likely given the others."""

    def left_out(width: float) -> float:
        neighbours.log_width.fill_(np.log(width))
        rows = neighbours.rows
        kernels = [
            multivariate_t(rows[m].numpy(), width**2 * np.eye(SENSORS), df=DEGREES).logpdf(rows.numpy())
            for m in range(KERNELS)
        ]
        np.fill_diagonal(np.asarray(kernels), -np.inf)
        apart = np.where(np.eye(KERNELS, dtype=bool), -np.inf, np.asarray(kernels))
        return float(logsumexp(apart, axis=0).mean())

    chosen = neighbours.log_width.exp().item()

    assert max(widths().tolist(), key=left_out) == pytest.approx(chosen)


def test_the_share_of_two_densities_is_the_likeliest() -> None:
    """Rows of which three in ten are from the second give it that; rows of the first alone give it none."""
    generator = np.random.default_rng(0)
    second = generator.random(20_000) < 0.3
    x = torch.tensor(generator.standard_normal(20_000) + 3 * second)

    def nats(mean: float, rows: Tensor) -> Tensor:
        return 0.5 * (rows - mean).square()

    assert weight_of(nats(3, x), nats(0, x)) == pytest.approx(0.3, abs=0.01)
    of_the_first = x[torch.tensor(~second)]
    assert weight_of(nats(3, of_the_first), nats(0, of_the_first)) == 0
