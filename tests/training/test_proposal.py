"""Where importance weights take latents from: scipy's answer where the decoder is linear, whatever is missing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from torch import Tensor

from app.array import Array
from training.mixture import Mixture
from training.proposal import Proposal, inverse_root
from training.vae import DecoderScale, Shape, Vae

SENSORS, LATENTS = 5, 3
SEEN = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [1, 1, 0, 1, 1], [0, 1, 0, 0, 0]]).double()


@pytest.fixture
def vae() -> Vae:
    """A linear decoder."""
    shape = Shape(SENSORS, LATENTS, width=0, tied=True, kernels=0, background=0.01)
    vae = Vae(shape, torch.full((SENSORS,), 0.01), DecoderScale("per_sensor")).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        vae.decode.linear.copy_(torch.randn(LATENTS, SENSORS, generator=generator))
        vae.decode.offset.copy_(torch.randn(SENSORS, generator=generator))
        vae.decode.log_scale.copy_(torch.randn(SENSORS, generator=generator) / 4 - 1)
    return vae


@pytest.fixture
def mixture() -> Mixture:
    """Four components of the latents, in the order of the first."""
    generator = torch.Generator().manual_seed(1)
    roots = torch.randn(4, LATENTS, LATENTS, generator=generator).tril(-1) + 2 * torch.eye(LATENTS)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4])
    means = torch.randn(4, LATENTS, generator=generator).double()
    return Mixture(means[means[:, 0].argsort()], roots.double(), weights.double().log())


def rows() -> Tensor:
    """One a pattern of SEEN, 0 where missing."""
    return SEEN * torch.randn(SEEN.shape, generator=torch.Generator().manual_seed(2)).double()


def exact(vae: Vae, mixture: Mixture, x: Array, seen: Array) -> tuple[Array, Array, Array]:
    """Weights [C], means [C, L] and covariances [C, L, L] of z given what is seen of a row x [D]."""
    with torch.no_grad():
        decoded = vae.decode(torch.zeros(1, 1, LATENTS).double())
        noise = decoded.variance[0, 0].numpy()[seen]
        slopes, offset = vae.decode.linear.numpy()[:, seen], vae.decode.offset.numpy()[seen]
    weights, means, covariances = mixture.log_weights.exp().numpy(), [], []
    for c, (mean, root) in enumerate(zip(mixture.means.numpy(), mixture.roots.numpy(), strict=True)):
        precision = root @ root.T
        covariance = np.linalg.inv(precision + slopes / noise @ slopes.T)
        if seen.any():
            marginal = slopes.T @ np.linalg.inv(precision) @ slopes + np.diag(noise)
            weights[c] *= multivariate_normal(mean @ slopes + offset, marginal).pdf(x[seen])
        means.append(covariance @ (precision @ mean + slopes @ ((x[seen] - offset) / noise)))
        covariances.append(covariance)
    return weights / weights.sum(), np.array(means), np.array(covariances)


@torch.no_grad()
def test_a_linear_decoders_proposal_is_the_posterior(vae: Vae, mixture: Mixture) -> None:
    """Every pattern's weights, means and covariances are those that conditioning a Gaussian gives."""
    proposed = Proposal(vae.decode, mixture)(rows(), SEEN)

    for row, (x, seen) in enumerate(zip(rows().numpy(), SEEN.numpy() > 0, strict=True)):
        weights, means, covariances = exact(vae, mixture, x, seen)
        precisions = proposed.precisions[proposed.pattern[row]]
        np.testing.assert_allclose(proposed.log_weights[row].exp().numpy(), weights, atol=1e-6)
        np.testing.assert_allclose(proposed.means[row].numpy(), means, atol=1e-5)
        np.testing.assert_allclose(np.linalg.inv(precisions.numpy()), covariances, atol=1e-6)


@torch.no_grad()
def test_rows_with_the_same_sensors_missing_share_a_pattern(vae: Vae, mixture: Mixture) -> None:
    """The matrices are worked out once for each pattern, and no row at all has none."""
    proposed, nothing = (Proposal(vae.decode, mixture)(rows()[:n], SEEN[:n]) for n in (5, 0))

    assert proposed.pattern.tolist() == [0, 1, 2, 1, 3]
    assert len(proposed.precisions) == 4
    assert (len(nothing.precisions), nothing.means.shape) == (0, (0, 4, LATENTS))


@torch.no_grad()
def test_draws_have_the_density_and_the_moments_that_are_told(vae: Vae, mixture: Mixture) -> None:
    """ln r is scipy's, and 40,000 draws have r's mean and variance."""
    proposed = Proposal(vae.decode, mixture)(rows(), SEEN)
    generator = np.random.default_rng(0)
    noise = torch.tensor(np.column_stack([generator.random(40_000), generator.standard_normal((40_000, LATENTS))]))

    z = proposed.draw(noise)

    mean, variance = proposed.moments()
    torch.testing.assert_close(z.mean(dim=1), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(z.var(dim=1), variance, rtol=0.05, atol=0)
    covariances = np.linalg.inv(proposed.precisions[proposed.pattern].numpy())
    log_prob = proposed.log_prob(z[:, :100]).numpy()
    for row, weights in enumerate(proposed.log_weights.exp().numpy()):
        parts = zip(weights, proposed.means[row].numpy(), covariances[row], strict=True)
        density = sum(w * multivariate_normal(m, covariance).pdf(z[row, :100].numpy()) for w, m, covariance in parts)
        np.testing.assert_allclose(log_prob[row], np.log(density), atol=1e-5)


@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(-6, 6))
def test_an_inverse_root_is_that_of_cholesky(size: int, seed: int, log_scale: float) -> None:
    """Of random positive definite matrices, large and small."""
    factor = torch.randn(3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    matrices = 10**log_scale * (factor @ factor.mT + 0.1 * torch.eye(size))

    found = inverse_root(matrices)

    expected = torch.linalg.inv(torch.linalg.cholesky(matrices))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * expected.abs().max().item())
