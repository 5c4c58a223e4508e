"""Training speed on the gas turbine: rows a second, and seconds to the held-out nats at which a plain loop ends.

    python -m benchmarks.speed

80/20 random split, seed 0, on every core. The models take turns; told are medians, and those of each round's ratios,
since a busy machine slows neighbours in time alike. nelbo's rows a second include its evaluations; its seconds begin
where its model is built, while the plain loop's are those of its steps alone. Held-out nats are taken afterwards,
on all of these rows. The aims: no slower a row than the plain loop, and half its seconds to the nats at its end.
"""

import io
import math
import os
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from time import monotonic

import numpy as np
import torch
from torch import Tensor, nn

from app.array import Array
from app.manifest import Sensor
from benchmarks.fitting import data_folder, machine
from training.build import build
from training.config import Config
from training.data import describe
from training.fit import Rows, descend, start
from training.standardise import standardise
from training.train import density_stage
from training.vae import Vae, beside, mix, network

WIDTH, LATENTS, BATCH = 256, 10, 512
"""Of every network, two hidden layers each way; nelbo's own defaults for this table."""
STEPS, LEARNING_RATE = 6000, 1e-3
"""Of the plain loop."""
ROUNDS, EPOCHS, DRAWS = 3, 3, 4
"""Of all models, each round with its own seed; of PyOD and pythae, whose nats are none of a row; of a held-out row."""
Model = Callable[["Table", int], "Run"]


@dataclass(frozen=True)
class Table:
    """What every model trains on, standardised, with Σ ln scale; at least 20 batches, or nelbo's would be smaller."""

    sensors: tuple[Sensor, ...]
    train: Rows
    held_out: Rows
    log_scale: float


@dataclass(frozen=True)
class Run:
    """One training: rows a second, and the held-out nats a row, in its own units, so many seconds after the start."""

    rows_a_second: float
    seconds: tuple[float, ...] = ()
    nats: tuple[float, ...] = ()

    def seconds_to(self, nats: float) -> float | None:
        """Until the first nats that are no more than these; None where none are."""
        return next((seconds for seconds, found in zip(self.seconds, self.nats, strict=True) if found <= nats), None)


def main() -> None:
    """Train in turns and print."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    x = np.loadtxt(data_folder() / "gas-turbine" / "gas_turbine.csv", delimiter=",", skiprows=1)
    order = np.random.default_rng(0).permutation(len(x))
    table = read(x[order[len(x) // 5 :]], x[order[: len(x) // 5]])
    print(machine())
    print(f"{len(table.train)} rows of {x.shape[1]} sensors to fit, {len(table.held_out)} held out", flush=True)
    models: dict[str, Model] = {"plain loop": plain, "nelbo": nelbo, "PyOD": pyod_vae, "pythae": pythae_vae}
    for name in ("PyOD", "pythae"):
        if find_spec(name.lower()) is None:
            del models[name]
            print(f"{name} is not installed: its VAE is left out")
    tell([{name: model(table, seed) for name, model in models.items()} for seed in range(ROUNDS)])


def read(train: Array, held_out: Array) -> Table:
    """Rows [n, D] to fit to and [m, D] held out, in their own units; no value is missing and no sensor constant."""
    sensors = describe(train, [f"s{d}" for d in range(train.shape[1])], [None] * train.shape[1])
    log_scale = sum(math.log(sensor.scale) for sensor in sensors)
    return Table(sensors, standardise(train, sensors), standardise(held_out, sensors), log_scale)


def tell(rounds: list[dict[str, Run]]) -> None:
    """Print medians over the rounds; where nelbo does not reach the plain loop's end, its seconds are infinite."""
    print(f"\n{'model':14} {'rows/s':>10} {'× plain loop':>13}")
    for name in rounds[0]:
        rate = median(runs[name].rows_a_second for runs in rounds)
        ratio = median(runs[name].rows_a_second / runs["plain loop"].rows_a_second for runs in rounds)
        print(f"{name:14} {rate:10,.0f} {ratio:13.2f}")
    ends = [runs["plain loop"].nats[-1] for runs in rounds]
    theirs = [runs["plain loop"].seconds[-1] for runs in rounds]
    ours = [runs["nelbo"].seconds_to(nats) or math.inf for runs, nats in zip(rounds, ends, strict=True)]
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    least = median(min(runs["nelbo"].nats) for runs in rounds)
    print(f"\nheld-out nats a row: the plain loop ends at {median(ends):.3f}, nelbo's least is {least:.3f}")
    print(f"seconds to that end: plain loop {median(theirs):.1f}, nelbo {median(ours):.1f}, × plain loop {ratio:.2f}")


class Plain(nn.Module):
    """The VAE that anyone would write: an N(0, I) prior, and two networks that tell a mean and a log scale each."""

    def __init__(self, sensors: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(_hidden(sensors), nn.Linear(WIDTH, 2 * LATENTS))
        self.decode = nn.Sequential(_hidden(LATENTS), nn.Linear(WIDTH, 2 * sensors))

    def forward(self, x: Tensor) -> Tensor:
        """Negative ELBO [n] of standardised x [n, D] by one draw, in nats."""
        mean, log_scale = self.encode(x).chunk(2, dim=-1)
        kl = (0.5 * (mean.square() + (2 * log_scale).exp() - 1) - log_scale).sum(dim=-1)
        z = mean + log_scale.exp() * torch.randn_like(mean)
        x_mean, x_log_scale = self.decode(z).chunk(2, dim=-1)
        residual = (x - x_mean) * (-x_log_scale).exp()
        nats: Tensor = kl + (0.5 * residual.square() + x_log_scale + 0.5 * math.log(2 * math.pi)).sum(dim=-1)
        return nats


def _hidden(inputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU())


def plain(table: Table, seed: int, steps: int = STEPS) -> Run:
    """The plain loop: so many steps of Adam at a constant rate, and the nats at their end."""
    torch.manual_seed(seed)
    rows, vae = table.train.x, Plain(len(table.sensors))
    optimiser = torch.optim.Adam(vae.parameters(), lr=LEARNING_RATE)
    started = monotonic()
    for _ in range(steps):
        loss = vae(rows[torch.randint(len(rows), (BATCH,))]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    seconds = monotonic() - started
    with torch.no_grad():
        nats = sum(vae(table.held_out.x).double().mean().item() for _ in range(DRAWS)) / DRAWS
    return Run(steps * BATCH / seconds, (seconds,), (nats + table.log_scale,))


def nelbo(table: Table, seed: int, steps: int | None = None) -> Run:
    """nelbo-train's first stage; `steps` are those of both stages, its own where not given."""
    config = Config(seed=seed, steps=steps)
    kept: list[tuple[float, Vae]] = []
    started = monotonic()
    vae = build(config, table.sensors, table.train)
    density = density_stage(config, vae.shape.sensors, None)
    descent = start(vae, seed)
    begun = monotonic()
    descend(descent, density, table.train, table.held_out, lambda d: kept.append((monotonic(), deepcopy(d.average))))
    rate = descent.step * BATCH / (monotonic() - begun)
    nats = tuple(_nats(average, table.held_out) + table.log_scale for _, average in kept)
    return Run(rate, tuple(moment - started for moment, _ in kept), nats)


@torch.no_grad()
def _nats(vae: Vae, rows: Rows) -> float:
    """nelbo's mean score of complete rows, in nats of standardised ones."""
    noise = torch.randn(len(rows), DRAWS, vae.shape.latents, generator=torch.Generator().manual_seed(0))
    parts = network(vae, vae.encode(rows.x, rows.observed), rows.x, rows.observed, noise)
    return mix(parts, beside(vae.experts, rows.x, rows.observed)).elbo.negative.double().mean().item()


def pyod_vae(table: Table, seed: int) -> Run:
    """PyOD's VAE without dropout, trained as its `fit` does; what that does afterwards, scoring, is left out."""
    from pyod.models.vae import VAE  # here, since PyOD is an optional extra
    from pyod.utils.torch_utility import TorchDataset

    rows, both = table.train.x.numpy(), [WIDTH, WIDTH]
    sizes = {"encoder_neuron_list": both, "decoder_neuron_list": both, "latent_dim": LATENTS, "dropout_rate": 0.0}
    detector = VAE(**sizes, batch_size=BATCH, epoch_num=EPOCHS, random_state=seed, verbose=0)
    detector.feature_size, detector.device = rows.shape[1], "cpu"
    detector.build_model()
    detector.training_prepare()
    loader = torch.utils.data.DataLoader(TorchDataset(rows), BATCH, shuffle=True, drop_last=True)
    started = monotonic()
    detector.train(loader)
    return Run(EPOCHS * len(loader) * BATCH / (monotonic() - started))


def pythae_vae(table: Table, seed: int) -> Run:
    """pythae's VAE by its own trainer, its one hidden layer of 512 exchanged for two of `WIDTH`."""
    rows, sensors = table.train.x, len(table.sensors)
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):  # it logs, whatever it is told
        from pythae import models, trainers  # here, since pythae is an optional extra
        from pythae.data.datasets import BaseDataset

        vae = models.VAE(models.VAEConfig(input_dim=(sensors,), latent_dim=LATENTS))
        vae.encoder.layers[0] = _hidden(sensors)
        vae.encoder.embedding, vae.encoder.log_var = nn.Linear(WIDTH, LATENTS), nn.Linear(WIDTH, LATENTS)
        vae.decoder.layers[0], vae.decoder.layers[1] = _hidden(LATENTS), nn.Linear(WIDTH, sensors)
        config = trainers.BaseTrainerConfig(folder, per_device_train_batch_size=BATCH, seed=seed, no_cuda=True)
        trainer = trainers.BaseTrainer(vae, BaseDataset(rows, torch.ones(len(rows))), training_config=config)
        trainer.prepare_training()
        started = monotonic()
        for epoch in range(EPOCHS):
            trainer.train_step(epoch + 1)
        return Run(EPOCHS * len(rows) / (monotonic() - started))


if __name__ == "__main__":
    main()
