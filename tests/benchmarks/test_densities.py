"""The rivals' densities against what is known of them."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks.densities import Estimate, gaussian, kernel, mixture, of_raw_rows

TRUTH = multivariate_normal([10.0, -3.0], [[4.0, 0.6], [0.6, 0.25]])
TRAIN, HELD_OUT = TRUTH.rvs(4000, random_state=1), TRUTH.rvs(2000, random_state=2)


@pytest.mark.parametrize("estimate", [gaussian, partial(mixture, components=2), kernel])
def test_a_gaussian_is_recovered(estimate: Estimate) -> None:
    """In raw units, hardly above the exact nats and hardly below."""
    exact = -TRUTH.logpdf(HELD_OUT).mean()

    assert of_raw_rows(estimate, TRAIN, HELD_OUT) == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("estimate", [gaussian, partial(mixture, components=2), kernel])
def test_other_units_shift_by_their_logarithm(estimate: Estimate) -> None:
    """x → c·x adds ln c for each sensor."""
    factor = np.array([1e-3, 250.0])

    shift = of_raw_rows(estimate, factor * TRAIN, factor * HELD_OUT) - of_raw_rows(estimate, TRAIN, HELD_OUT)

    assert shift == pytest.approx(np.log(factor).sum(), abs=1e-6)
