"""Known answers: linear models against exact likelihoods, the default on Gaussian data, other units, its own samples.

python -m benchmarks.closed_forms
"""

import numpy as np
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA, FactorAnalysis

from benchmarks.fitting import fit, machine
from training.config import Config


def main() -> None:
    """Print each comparison."""
    print(machine())
    linear()
    default_on_gaussian()
    units()


def linear() -> None:
    """N = 4000, D = 12, 4 factors: −ELBO minus the exact NLL on the rows fitted to."""
    generator = np.random.default_rng(0)
    noise = generator.uniform(0.3, 1.0, 12)
    x = generator.standard_normal((4000, 4)) @ generator.standard_normal((4, 12)) + noise * generator.standard_normal(
        (4000, 12)
    )
    x = x[np.random.default_rng(1).permutation(4000)]
    for scale, oracle in (
        ("shared", PCA(n_components=4)),
        ("per_sensor", FactorAnalysis(n_components=4, tol=1e-8, svd_method="lapack", max_iter=20_000)),
    ):
        model = fit(x, Config(width=0, components=0, latent_size=4, decoder_scale=scale), held_out=x)
        fitted_to = model.trained_on
        standardised = (fitted_to - fitted_to.mean(axis=0)) / fitted_to.std(axis=0)
        exact = -oracle.fit(standardised).score(standardised) + np.log(fitted_to.std(axis=0)).sum()
        excess = model.engine.score(fitted_to).score.mean() - exact
        print(f"linear, {scale} scale: −ELBO minus {type(oracle).__name__}'s exact NLL: {excess:+.5f} nats a row")


def default_on_gaussian() -> None:
    """20,000 rows of 7 correlated sensors, scales 1e-3 to 1e4, far from zero: excess over the exact NLL, alarms."""
    generator = np.random.default_rng(0)
    root = generator.standard_normal((7, 7))
    scale = 10 ** np.linspace(-3, 4, 7)
    truth = multivariate_normal(np.full(7, 100.0), root @ root.T + 0.1 * np.eye(7))
    x, fresh = truth.rvs(20_000, random_state=1), truth.rvs(50_000, random_state=2)
    model = fit(scale * x, Config())
    scores = model.engine.score(scale * fresh).score
    exact = np.log(scale).sum() - truth.logpdf(fresh)
    noise = np.random.default_rng(3).standard_normal((20_000, model.engine.manifest.noise_size))
    own = model.engine.score(model.engine.sample(noise)).score
    print(
        f"default on Gaussian data: score minus exact NLL {(scores - exact).mean():+.4f} nats a row "
        f"on 50,000 new rows, false alarms {np.mean(scores >= model.threshold):.4f} at 0.01, on its own samples "
        f"{np.mean(own >= model.threshold):.4f}; {model.steps} steps, {model.seconds / 60:.1f} minutes"
    )


def units() -> None:
    """The same rows in other units, fitted again with the same seed: how far each score is from its shift by Σ ln c."""
    generator = np.random.default_rng(5)
    x = generator.standard_normal((4000, 3)) @ generator.standard_normal((3, 7)) + 0.3 * generator.standard_normal(
        (4000, 7)
    )
    factor, offset = 10 ** generator.uniform(-3, 3, 7), generator.uniform(-1000, 1000, 7)
    first, second = fit(x, Config(steps=4000)), fit(factor * x + offset, Config(steps=4000))
    shift = second.engine.score(factor * x + offset).score - first.engine.score(x).score - np.log(factor).sum()
    print(f"other units: the largest |shift − Σ ln c| over {len(x)} rows is {np.abs(shift).max():.1e} nats")


if __name__ == "__main__":
    main()
