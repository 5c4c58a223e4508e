"""Probabilistic PCA in closed form (Tipping & Bishop 1999): the linear subspace that rows lie around.

W = U (Λ − σ²)^½ with U and Λ the largest eigenvectors and eigenvalues of the covariance, σ² the mean of the others.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

LEAST_VARIANCE = 1e-4


@dataclass(frozen=True)
class Subspace:
    """x = m + W z + noise: W [D, L] with orthogonal columns, m [D] and the variance [] of the noise."""

    loading: Tensor
    mean: Tensor
    variance: Tensor

    @staticmethod
    def of(x: Tensor, latents: int) -> "Subspace":
        """The optimum for rows x [n, D]; latents beyond the D there are to find are left without a loading."""
        eigenvalues, vectors = torch.linalg.eigh(torch.cov(x.mT, correction=0).reshape(x.shape[1], x.shape[1]))
        eigenvalues, vectors = eigenvalues.flip(0).clamp(min=0), vectors.flip(1)
        discarded = eigenvalues[latents:]
        variance = (discarded.mean() if len(discarded) else eigenvalues[-1]).clamp(min=LEAST_VARIANCE)
        loading = vectors[:, :latents] * (eigenvalues[:latents] - variance).clamp(min=LEAST_VARIANCE).sqrt()
        loading = nn.functional.pad(loading, (0, latents - loading.shape[1]))
        return Subspace(loading, x.mean(dim=0), variance)
