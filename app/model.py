"""One version of a model, verified and ready to answer, with what it says of rows."""

from dataclasses import dataclass
from typing import NamedTuple

from app.array import Array
from app.bundle import Bundle
from app.calibration import Calibration
from app.engine import Engine
from app.manifest import Manifest


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

    def __str__(self) -> str:
        return f"{self.manifest.name}@{self.manifest.version}"

    def judge(self, x: Array) -> Judged:
        """The scores of rows x [n, D], NaN where a sensor is missing, and their p-values."""
        scores = self.engine.score(x)
        return Judged(scores.score, scores.kl, scores.per_sensor, self.calibration.p_values(x, scores.score))

    def draw(self, noise: Array) -> Drawn:
        """Rows from standard normal noise [n, M]."""
        return Drawn(self.engine.sample(noise))
