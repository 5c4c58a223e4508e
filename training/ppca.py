"""Probabilistic PCA in closed form: where every VAE starts, so that the network must only add to it.

The posterior's covariance is then diagonal, σ² (WᵀW + σ²)⁻¹, so a diagonal q(z|x) is exact.
"""

import torch
from torch import Tensor

from training.subspace import LEAST_VARIANCE, Subspace
from training.vae import Vae


def plant(vae: Vae, x: Tensor, observed: Tensor) -> None:
    """Set the linear parts of `vae` to the optimum for standardised rows x [n, D], 0 where not `observed`."""
    x = x.double()
    if vae.background is not None:
        vae.background.plant(x, observed.double())
    found = Subspace.of(x, vae.shape.latents)
    loading, mean, variance = found.loading, found.mean, found.variance
    gram = (loading.square().sum(dim=0) + variance).clamp(min=LEAST_VARIANCE)  # WᵀW + σ² is diagonal here
    _set(vae.encode.linear, loading / gram)
    _set(vae.encode.offset, -mean @ loading / gram)
    _set(vae.encode.log_scale, 0.5 * (variance / gram).log())
    _set(vae.decode.linear, loading.mT)
    _set(vae.decode.offset, mean)
    if vae.decode.scale.fixed is None:
        above_floor = variance - vae.decode.floor_variance.double()  # the decoder adds the floor's variance back
        log_scale = 0.5 * above_floor.clamp(min=LEAST_VARIANCE * 1e-2).log()
        _set(vae.decode.log_scale, log_scale.mean() if vae.decode.scale.kind == "shared" else log_scale)
    else:
        _set(vae.decode.log_scale, torch.full_like(vae.decode.log_scale, vae.decode.scale.fixed).log())


def _set(parameter: Tensor, value: Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(value)
