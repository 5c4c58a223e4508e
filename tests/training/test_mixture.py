"""Mixtures of Gaussians of latents: their density is scipy's, and they are fitted and chosen by likelihood."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from torch import Tensor

from training import mixture
from training.mixture import Mixture
from training.prior import MixturePrior

WEIGHTS = np.array([0.2, 0.5, 0.3])


@pytest.fixture
def three() -> Mixture:
    """Three components of four latents, wide apart."""
    generator = torch.Generator().manual_seed(0)
    means = 6 * torch.randn(3, 4, dtype=torch.float64, generator=generator)
    roots = torch.randn(3, 4, 4, dtype=torch.float64, generator=generator).tril(-1) + 1.5 * torch.eye(4)
    return Mixture(means, roots, torch.tensor(WEIGHTS).log())


def drawn(of: Mixture, count: int) -> Tensor:
    """Rows [count, L] of a mixture."""
    generator = np.random.default_rng(1)
    component = generator.choice(len(WEIGHTS), count, p=WEIGHTS)
    noise = torch.tensor(generator.standard_normal((count, of.means.shape[1], 1)))
    return of.means[component] + (of.factors()[component] @ noise).squeeze(-1)


def covariances(of: Mixture) -> np.ndarray:
    """Of each component, [C, L, L]."""
    return np.linalg.inv((of.roots @ of.roots.mT).numpy())


def test_its_density_is_scipys(three: Mixture) -> None:
    """ln p to 1e-6 nats, near and far, for any number of axes before the latents."""
    z = torch.cat([drawn(three, 50), 100 * drawn(three, 50)]).reshape(20, 5, 4)
    theirs = [
        np.log(weight) + multivariate_normal(mean, covariance).logpdf(z.numpy())
        for weight, mean, covariance in zip(WEIGHTS, three.means.numpy(), covariances(three), strict=True)
    ]

    np.testing.assert_allclose(three.log_prob(z).numpy(), logsumexp(theirs, axis=0), rtol=1e-9, atol=1e-6)


def test_its_moments_are_those_of_its_rows(three: Mixture) -> None:
    """Mean and scale of each latent, within the error of 200,000 rows."""
    rows = drawn(three, 200_000)

    mean, scale = three.moments()

    torch.testing.assert_close(mean, rows.mean(dim=0), atol=0.05, rtol=0.01)
    torch.testing.assert_close(scale, rows.std(dim=0), atol=0.05, rtol=0.01)


def test_a_prior_that_starts_at_it_has_its_density_and_its_rows(three: Mixture) -> None:
    """The parameters say what they were planted with, and the sampler draws from it."""
    prior = MixturePrior(3, 4).double()
    prior.start_at(three)
    noise = torch.randn(100_000, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    with torch.no_grad():
        found, rows = prior.log_prob(drawn(three, 100)), prior.sampler()(noise)

    torch.testing.assert_close(found, three.log_prob(drawn(three, 100)))
    mean, scale = three.moments()
    torch.testing.assert_close(rows.mean(dim=0), mean, atol=0.1, rtol=0.01)
    torch.testing.assert_close(rows.std(dim=0), scale, atol=0.1, rtol=0.01)


def test_expectation_maximisation_finds_what_made_the_rows(three: Mixture) -> None:
    """Fitted to 4000 rows it is within 0.1 nats a row of the truth on others, and its weights are the truth's."""
    rows, others = drawn(three, 5000).split([4000, 1000])

    found = mixture.fit(rows, 3, torch.Generator().manual_seed(1))

    assert (three.log_prob(others) - found.log_prob(others)).mean().item() < 0.1
    np.testing.assert_allclose(np.sort(found.log_weights.exp().numpy()), np.sort(WEIGHTS), atol=0.03)


def test_as_many_components_are_chosen_as_rows_call_for(three: Mixture) -> None:
    """One for a single Gaussian, several for three of them, and one where there are too few rows to tell."""
    gaussian = torch.randn(4000, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def chosen(rows: Tensor) -> int:
        return mixture.choose(rows, 64, torch.Generator().manual_seed(0))

    assert chosen(gaussian) == 1
    assert chosen(drawn(three, 4000)) in {2, 4, 8}
    assert chosen(drawn(three, 15)) == 1


def test_copies_and_latents_at_rest_do_not_stop_it() -> None:
    """Rows that are copies of a few, with a latent that never moves, give a finite mixture."""
    few = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = few.repeat(100, 1)
    rows[:, 2] = 1.0

    found = mixture.fit(rows, 8, torch.Generator().manual_seed(0))

    assert torch.isfinite(found.log_prob(rows)).all()
