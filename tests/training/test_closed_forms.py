"""Known truths: probabilistic PCA, factor analysis, the KL, units, and rays out of the data."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from scipy.stats import f as f_distribution
from scipy.stats import multivariate_t
from sklearn.decomposition import PCA, FactorAnalysis
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from app.array import Array
from app.manifest import Sensor
from training import ppca
from training.background import Background
from training.build import build
from training.config import Config, Limits
from training.data import describe
from training.elbo import Elbo, share
from training.fit import Rows
from training.gaussian import Gaussian
from training.graphs import Graphs
from training.onnx_file import write_graph
from training.posterior import Posterior
from training.questions import Score
from training.standardise import standardise
from training.student import DEGREES
from training.train import train
from training.vae import Vae, whitened_draws


def factor_rows(count: int = 4000, sensors: int = 12, factors: int = 4, seed: int = 0) -> Array:
    """Rows of a factor model whose noise is at least a tenth of each sensor's spread."""
    generator = np.random.default_rng(seed)
    loading = generator.standard_normal((factors, sensors))
    noise = generator.uniform(0.3, 1.0, sensors)
    x = generator.standard_normal((count, factors)) @ loading + noise * generator.standard_normal((count, sensors))
    return x * 10 ** generator.uniform(-3, 3, sensors) + 100


def sensors_of(x: Array) -> tuple[Sensor, ...]:
    """The sensors that rows x describe."""
    return describe(x, [f"s{d}" for d in range(x.shape[1])], [None] * x.shape[1])


def fitted(x: Array, config: Config, validation: Array | None = None) -> tuple[Vae, tuple[Sensor, ...]]:
    """A model fitted to rows x, stopped by `validation` or by x itself."""
    sensors = sensors_of(x)
    rows = standardise(x, sensors)
    stop_by = rows if validation is None else standardise(validation, sensors)
    torch.set_num_threads(1)
    run = train(config, sensors, (rows, stop_by), Limits(None, 1), None, False, lambda evaluation: None)
    return run.vae, sensors


@torch.no_grad()
def nats(vae: Vae, sensors: tuple[Sensor, ...], x: Array) -> Array:
    """The score of rows x in float64, by torch."""
    score = Score(Graphs(vae, sensors).eval())
    return np.concatenate([score(rows)[0].numpy() for rows in torch.tensor(x).split(1000)])


def test_planted_probabilistic_pca_is_exact_through_onnx(tmp_path: Path) -> None:
    """At the closed-form optimum every row's score is the exact negative log-likelihood to 2e-5 nats."""
    x = factor_rows()
    sensors = sensors_of(x)
    standardised = (x - x.mean(axis=0)) / x.std(axis=0)
    config = Config(width=0, components=0, latent_size=4, decoder_scale="shared")
    vae = build(config, sensors, standardise(x, sensors)).double()
    ppca.plant(vae, torch.tensor(standardised), torch.ones(x.shape))
    write_graph(
        tmp_path / "score.onnx",
        Score(Graphs(vae, sensors).eval()),
        {"x": torch.zeros(3, 12, dtype=torch.float64)},
        ["score", "kl", "per_sensor"],
    )
    session = ort.InferenceSession(tmp_path / "score.onnx", providers=["CPUExecutionProvider"])

    found = session.run(["score"], {"x": x})[0]

    values, vectors = np.linalg.eigh(np.cov(standardised.T, ddof=0))
    noise = values[:-4].mean()
    covariance = vectors[:, -4:] @ np.diag(values[-4:] - noise) @ vectors[:, -4:].T + noise * np.eye(12)
    quadratic = np.einsum("nd,nd->n", standardised @ np.linalg.inv(covariance), standardised)
    log_volume = np.linalg.slogdet(covariance)[1] + 12 * np.log(2 * np.pi) + 2 * np.log(x.std(axis=0)).sum()
    np.testing.assert_allclose(found, 0.5 * (quadratic + log_volume), atol=2e-5)


def background_of(rows: Rows, sensors: tuple[Sensor, ...]) -> Background:
    """The background of a model for `rows`."""
    background = build(Config(width=8, components=3, latent_size=2), sensors, rows).background
    assert background is not None
    return background


def t_covariance(background: Background) -> Array:
    """The scale matrix WᵀW + σ² of a background's t distribution, [D, D]."""
    noise = background.variance * torch.eye(len(background.mean))
    covariance: Array = (background.loading.mT @ background.loading + noise).numpy()
    return covariance


def test_the_background_is_the_covariances_t_distribution() -> None:
    """It scores complete rows as scipy does, its shape is the covariance, and no other scale fits better."""
    x = factor_rows(500, sensors=6, factors=2)
    sensors = sensors_of(x)
    rows = standardise(x, sensors)
    background = background_of(rows, sensors)
    z, covariance = rows.x.double().numpy(), t_covariance(background)
    exact = -multivariate_t(background.mean.numpy(), covariance, df=DEGREES).logpdf(z)
    pca = np.cov(z.T)

    found = background.elbo(rows.x.double(), rows.observed.double()).negative.numpy()

    np.testing.assert_allclose(found, exact, rtol=1e-10)
    np.testing.assert_allclose(covariance / covariance[0, 0], pca / pca[0, 0], rtol=1e-2, atol=1e-3)
    for factor in (0.9, 1.1):
        other = -multivariate_t(background.mean.numpy(), factor * covariance, df=DEGREES).logpdf(z)
        assert found.mean() < other.mean()


def test_the_background_bounds_rows_with_missing_sensors() -> None:
    """With sensors missing its score is never below the exact one of the sensors observed."""
    x = factor_rows(500, sensors=6, factors=2)
    sensors = sensors_of(x)
    rows = standardise(x, sensors)
    background = background_of(rows, sensors)
    covariance = t_covariance(background)
    seen = [0, 2, 3, 5]
    observed = torch.zeros_like(rows.x).double()
    observed[:, seen] = 1
    z = rows.x.double()
    marginal = multivariate_t(background.mean.numpy()[seen], covariance[np.ix_(seen, seen)], df=DEGREES)

    parts = background.elbo(z * observed, observed)

    excess = parts.negative.numpy() + marginal.logpdf(z.numpy()[:, seen])
    assert excess.min() > -1e-9
    assert (parts.per_sensor[:, [1, 4]] == 0).all()


def test_the_background_predicts_and_samples_its_own_distribution() -> None:
    """Its samples have its mean and covariance, and half of them are nearer than the t distribution's median."""
    x = factor_rows(500, sensors=6, factors=2)
    sensors = sensors_of(x)
    rows = standardise(x, sensors)
    background = background_of(rows, sensors)
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(100_000, width, generator=generator, dtype=torch.float64) for width in (DEGREES + 5, 6)]

    drawn = (background.sample(*noise) - background.mean).numpy()

    inverse = np.linalg.inv(t_covariance(background))
    distance = np.einsum("nd,de,ne->n", drawn, inverse, drawn) / 6
    assert np.mean(distance < f_distribution(6, DEGREES).ppf(0.5)) == pytest.approx(0.5, abs=0.01)
    assert np.mean(distance < f_distribution(6, DEGREES).ppf(0.99)) == pytest.approx(0.99, abs=0.002)


def test_two_models_share_a_row_as_their_mixture_does() -> None:
    """The shared parts add up to −ln[(1 − w)·e^(−a) + w·e^(−b)], for equal, near and very far costs."""
    sensors, kl = torch.randn(2, 50, 3, dtype=torch.float64), torch.randn(2, 50, dtype=torch.float64)
    sensors[0, 10] += 1e12
    sensors[1, 20] += 1e12
    sensors[0, 30], kl[0, 30] = sensors[1, 30], kl[1, 30]
    first, second = Elbo(sensors[0], kl[0]), Elbo(sensors[1], kl[1])

    mixed = share(first, second, torch.tensor([0.25], dtype=torch.float64).log())

    exact = -torch.logaddexp(np.log(0.75) - first.negative, np.log(0.25) - second.negative)
    torch.testing.assert_close(mixed.elbo.negative, exact, rtol=1e-12, atol=1e-9)
    assert mixed.share[10].item() == 1
    assert mixed.share[20].item() == 0
    assert mixed.share[30].item() == pytest.approx(0.25)


def test_linear_model_reaches_probabilistic_pca() -> None:
    """Fitted with one scale for all, −ELBO is within [−1e-5, 0.02] nats a row of scikit-learn's exact NLL."""
    x = factor_rows()
    vae, sensors = fitted(x, Config(width=0, components=0, latent_size=4, decoder_scale="shared", steps=2000))

    scale = x.std(axis=0)
    exact = -PCA(n_components=4).fit((x - x.mean(axis=0)) / scale).score((x - x.mean(axis=0)) / scale)
    excess = nats(vae, sensors, x).mean() - (exact + np.log(scale).sum())

    assert -1e-5 <= excess <= 0.02


def test_linear_model_reaches_factor_analysis() -> None:
    """Fitted with a scale per sensor, −ELBO is within [−1e-4, 0.02] nats a row of scikit-learn's exact NLL."""
    x = factor_rows()
    vae, sensors = fitted(x, Config(width=0, components=0, latent_size=4, decoder_scale="per_sensor", steps=6000))

    scale = x.std(axis=0)
    standardised = (x - x.mean(axis=0)) / scale
    oracle = FactorAnalysis(n_components=4, tol=1e-8, svd_method="lapack", max_iter=20_000).fit(standardised)
    excess = nats(vae, sensors, x).mean() - (-oracle.score(standardised) + np.log(scale).sum())

    assert -1e-4 <= excess <= 0.02


def test_kl_to_the_standard_normal_is_torchs() -> None:
    """½ Σ (m² + s² − 1 − ln s²) for scales from 1e-6 to 1e3, to 1e-12 relative in float64."""
    generator = torch.Generator().manual_seed(0)
    mean = 3 * torch.randn(10_000, dtype=torch.float64, generator=generator)
    scale = 10 ** (9 * torch.rand(10_000, dtype=torch.float64, generator=generator) - 6)

    found = Gaussian(mean, scale.square(), 2 * scale.log()).kl_to_standard()

    torch.testing.assert_close(found, kl_divergence(Normal(mean, scale), Normal(0.0, 1.0)), rtol=1e-12, atol=1e-12)


def test_a_tied_posterior_is_torchs_multivariate_normal() -> None:
    """Its KL to N(0, I), its draws' density and its latents' variances are those of N(mean, C Cᵀ)."""
    generator = torch.Generator().manual_seed(0)
    mean, log_scale = torch.randn(2, 50, 4, dtype=torch.float64, generator=generator)
    below = torch.randn(50, 4, 4, dtype=torch.float64, generator=generator).tril(-1)
    noise = torch.randn(7, 4, dtype=torch.float64, generator=generator)
    posterior = Posterior(mean, log_scale, below)
    factor = log_scale.exp()[:, :, None] * (torch.eye(4) + below)
    theirs = MultivariateNormal(mean, scale_tril=factor)
    standard = MultivariateNormal(torch.zeros(4, dtype=torch.float64), torch.eye(4, dtype=torch.float64))

    torch.testing.assert_close(posterior.kl_to_standard(), kl_divergence(theirs, standard), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(posterior.variance, theirs.variance, rtol=1e-10, atol=1e-10)
    log_prob = theirs.log_prob(posterior.draw(noise).transpose(0, 1)).mT
    torch.testing.assert_close(posterior.log_prob(noise), log_prob, rtol=1e-8, atol=1e-8)


def test_log_density_is_torchs() -> None:
    """ln N(x; m, s²) to 1e-12 relative in float64."""
    generator = torch.Generator().manual_seed(0)
    x, mean = torch.randn(2, 10_000, dtype=torch.float64, generator=generator)
    scale = 10 ** (6 * torch.rand(10_000, dtype=torch.float64, generator=generator) - 3)

    found = Gaussian(mean, scale.square(), 2 * scale.log()).log_prob(x)

    torch.testing.assert_close(found, Normal(mean, scale).log_prob(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("latents", [1, 3, 10, 16, 32])
def test_posterior_draws_have_mean_zero_and_unit_covariance(latents: int) -> None:
    """Antithetic and whitened: both moments hold to 1e-12."""
    draws = whitened_draws(max(16, 2 * latents), latents, seed=3)

    torch.testing.assert_close(draws.mean(dim=0), torch.zeros(latents, dtype=torch.float64), atol=1e-12, rtol=0)
    covariance = draws.mT @ draws / len(draws)
    torch.testing.assert_close(covariance, torch.eye(latents, dtype=torch.float64), atol=1e-12, rtol=0)


def test_mse_with_a_weighted_kl_is_the_fixed_scale_model() -> None:
    """`mse + w·KL` and −ELBO at σ² = w·D/2 have one gradient, up to the factor w."""
    x = factor_rows(500)
    sensors = sensors_of(x)
    rows = standardise(x, sensors)
    weight = 0.01
    vae = build(Config(kl_weight=weight, components=0, width=16, latent_size=3), sensors, rows)
    noise = torch.randn(len(rows), 1, 3, generator=torch.Generator().manual_seed(0))
    posterior = vae.encode(rows.x, rows.observed)
    z = posterior.draw(noise)
    kl = vae.prior.kl(posterior, z, noise)
    squared_error = (rows.x[:, None] - vae.decode(z).mean).square().mean(dim=-1)

    ours = (-vae.decode(z).log_prob(rows.x[:, None]).sum(dim=-1) + kl).mean()
    theirs = (squared_error + weight * kl).mean()

    parameters = [p for p in (*vae.encode.parameters(), *vae.decode.parameters()) if p.requires_grad]
    of_ours = torch.autograd.grad(ours, parameters, retain_graph=True, allow_unused=True)
    of_theirs = torch.autograd.grad(theirs, parameters, allow_unused=True)
    for mine, other in zip(of_ours, of_theirs, strict=True):
        if mine is not None and other is not None:
            torch.testing.assert_close(weight * mine, other, rtol=1e-3, atol=1e-6)


def test_other_units_shift_the_score_by_their_logarithm() -> None:
    """x → c·x + e, fitted again with the same seed: every score shifts by Σ ln c within 1e-3 nats."""
    x = factor_rows(2000, sensors=5, factors=2)
    factor = np.array([3.7, 0.01, 1000.0, 1.8, 0.453592])
    other = factor * x + np.array([32.0, -5.0, 1e4, 0.0, 273.15])
    config = Config(width=32, components=10, steps=400)

    (vae, sensors), (other_vae, other_sensors) = fitted(x, config), fitted(other, config)

    shift = nats(other_vae, other_sensors, other) - nats(vae, sensors, x)
    np.testing.assert_allclose(shift, np.log(factor).sum(), atol=1e-3)


def test_scores_rise_along_every_ray() -> None:
    """From 10 to 10⁶ training scales out, in 256 random and all axis directions, the score is finite and rises."""
    generator = np.random.default_rng(0)
    x = np.tanh(factor_rows(3000, sensors=6, factors=2) / 50) + 0.05 * generator.standard_normal((3000, 6))
    vae, sensors = fitted(x, Config(width=64, components=20, steps=1500))
    mean, scale = x.mean(axis=0), x.std(axis=0)
    random = generator.standard_normal((256, 6))
    directions = np.concatenate([random / np.abs(random).max(axis=1, keepdims=True), np.eye(6), -np.eye(6)])

    scores = np.array([nats(vae, sensors, mean + t * scale * directions) for t in 10.0 ** np.arange(1, 7)])

    assert np.isfinite(scores).all()
    assert (np.diff(scores, axis=0) > 0).all()
    assert (scores[-1] > np.quantile(nats(vae, sensors, x), 0.999)).all()


def test_rows_with_holes_train_as_they_are() -> None:
    """A table with a fifth of its values missing trains, and scores observed sensors only."""
    x = factor_rows(1500, sensors=5, factors=2)
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    vae, sensors = fitted(x, Config(width=32, components=10, steps=400))

    scores = nats(vae, sensors, x)

    assert np.isfinite(scores).all()


def test_standardised_rows_do_not_see_the_missing() -> None:
    """A missing value is 0 with observed 0."""
    x = factor_rows(60, sensors=2, factors=1)
    x[3, 1] = np.nan

    rows: Rows = standardise(x, sensors_of(x))

    assert (rows.x[3, 1].item(), rows.observed[3, 1].item()) == (0.0, 0.0)
    assert rows.observed.sum().item() == 119
