"""The model for a table before its first step: every part that has an optimum in closed form is planted there."""

import torch

from app.manifest import Sensor
from training import mixture, ppca
from training.config import Config
from training.fit import Rows
from training.gaussian import VECTOR
from training.hidden import Hidden
from training.neighbours import MOST_ROWS
from training.prior import MixturePrior, StandardPrior
from training.standardise import floor, reach
from training.vae import DecoderScale, Shape, Vae

MANY = 32
"""Sensors. Above it the simpler choice is the default: what adds density there takes it from telling faults apart."""
BACKGROUND, BACKGROUND_OF_MANY = 0.01, 0.3
"""Its share of the mass; what it says of a row with missing sensors is a bound, which a small share hardly loosens."""
MOST_COMPONENTS = 512
"""Of the prior, where their number is not told."""
PLACES, ANYWHERE = 4, 0.1
"""Components where the rows' latents are, for a prior of one component, and the weight of that one beside them."""
MOST_PLACED = 20_000
"""Rows whose latents are looked at for that."""


def build(config: Config, sensors: tuple[Sensor, ...], rows: Rows) -> Vae:
    """The model for `rows`, planted in them; its prior has as many components as held-out rows ask for."""
    count = sum(not sensor.constant for sensor in sensors)
    shape = Shape(
        sensors=count,
        latents=config.latent_size or max(1, min(count - 1, 16 if count <= MANY else 32)),
        width=config.width if config.width is not None else (128 if len(rows) < 2000 else 256),
        tied=count <= MANY,
        background=BACKGROUND if count <= MANY else BACKGROUND_OF_MANY,
        kernels=min(MOST_ROWS, len(_complete(rows))) // VECTOR * VECTOR,
    )
    vae = Vae(shape, floor(sensors), _decoder_scale(config, count))
    plant(vae, rows, config.seed)
    components = _components(config, vae, rows)
    if components:
        vae.prior = MixturePrior(components, shape.latents)
        _plant_prior(vae.prior, vae, rows, config.seed)
    return vae


def plant(vae: Vae, rows: Rows, seed: int) -> None:
    """Begin anew in standardised `rows`: the linear parts, the prior, the experts and how far the encoder looks."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in vae.modules():
            if isinstance(module, Hidden):
                module.begin()
    vae.encode.look(reach(rows))
    ppca.plant(vae, rows.x, rows.observed)
    if isinstance(vae.prior, MixturePrior):
        _plant_prior(vae.prior, vae, rows, seed)
    if vae.neighbours is not None:
        complete = _complete(rows)
        places = torch.linspace(0, len(complete) - 1, len(vae.neighbours.rows)).round().long()
        vae.neighbours.plant(rows.x[complete[places]].double())


@torch.no_grad()
def place(vae: Vae, rows: Rows, seed: int) -> None:
    """Choose where the decoder is made linear: N(0, I) has one component only, and rows are in a few places of it."""
    if not isinstance(vae.prior, StandardPrior):
        return
    generator = torch.Generator().manual_seed(seed)
    some = rows.take(torch.randperm(len(rows), generator=generator)[:MOST_PLACED])
    latents = vae.shape.latents
    noise = torch.randn(len(some), 1, latents, generator=generator)
    z = vae.encode(some.x, some.observed).draw(noise)[:, 0, :]
    count = max(1, min(PLACES, len(some) // (mixture.ROWS_A_LATENT * latents)))
    there, anywhere = mixture.fit(z, count, generator), vae.prior.mixture()
    vae.places = mixture.together(there, anywhere, ANYWHERE)


def _plant_prior(prior: MixturePrior, vae: Vae, rows: Rows, seed: int) -> None:
    latents = vae.encode(rows.x, rows.observed).mean.detach()
    prior.start_at(mixture.fit(latents, len(prior.means), torch.Generator().manual_seed(seed)))


def _complete(rows: Rows) -> torch.Tensor:
    """Which rows miss no sensor; all of them where none is so."""
    complete = torch.nonzero(rows.observed.amin(dim=-1) > 0).ravel()
    return complete if len(complete) else torch.arange(len(rows))


def _decoder_scale(config: Config, sensors: int) -> DecoderScale:
    fixed = config.fixed_scale(sensors)
    if fixed is not None:
        return DecoderScale("fixed", fixed)
    return DecoderScale(config.decoder_scale or ("free" if sensors <= MANY else "per_sensor"))


def _components(config: Config, vae: Vae, rows: Rows) -> int:
    """Of the prior; 0 is N(0, I)."""
    if config.components is not None:
        return min(config.components, max(1, len(rows) // 10))
    if vae.shape.sensors > MANY:
        return 0
    latents = vae.encode(rows.x, rows.observed).mean.detach()
    chosen = mixture.choose(latents, MOST_COMPONENTS, torch.Generator().manual_seed(config.seed))
    return chosen if chosen > 1 else 0
