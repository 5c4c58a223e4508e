"""One version of a model, verified and ready to answer, with what it says of rows."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from app import bundle
from app.array import Array
from app.bundle import Bundle
from app.calibration import Calibration
from app.engine import Engine
from app.errors import BundleError, NelboError
from app.manifest import Manifest
from app.settings import Settings

SHOWN_DIGITS = 12
"""Of a bundle's digest, where a person or a log is told which it is."""


class Judged(NamedTuple):
    """The negative ELBO in nats and how rare it is: score [n] = kl [n] + the sum of per_sensor [n, D]; p_value [n]."""

    score: Array
    kl: Array
    per_sensor: Array
    p_value: Array


class Drawn(NamedTuple):
    """Rows drawn from p(x), [n, D], in the sensors' units."""

    rows: Array


@dataclass(frozen=True, eq=False)
class Model:
    """One version of a model."""

    bundle: Bundle
    engine: Engine
    calibration: Calibration

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @cached_property
    def identity(self) -> str:
        """Its name and version, and the beginning of its bundle's digest: `name@2+0123456789ab`."""
        return f"{self}+{self.bundle.digest[:SHOWN_DIGITS]}"

    def __str__(self) -> str:
        return f"{self.manifest.name}@{self.manifest.version}"

    def judge(self, x: Array) -> Judged:
        """The scores of rows x [n, D], NaN where a sensor is missing, and their p-values."""
        scores = self.engine.score(x)
        return Judged(scores.score, scores.kl, scores.per_sensor, self.calibration.p_values(x, scores.score))

    def draw(self, noise: Array) -> Drawn:
        """Rows from standard normal noise [n, M]."""
        return Drawn(self.engine.sample(noise))


def open_model(path: Path, settings: Settings, before: Model | None = None) -> Model:
    """The bundle at `path`, verified, its graphs opened and proved; `before` itself where it is of the same bundle.

    Raises:
        BundleError: it must not be served.
        DeviceError: the device asked for cannot be had.
    """
    try:
        read = bundle.read(path)
        if before is not None and before.bundle == read:
            return before
        engine = Engine(read, settings.device)
        return Model(read, engine, Calibration(path / bundle.CALIBRATION, engine))
    except NelboError:
        raise
    except Exception as error:  # numpy, zipfile and onnxruntime have no common class for files of the wrong content
        raise BundleError(path, f"it cannot be read ({type(error).__name__})", error) from error
