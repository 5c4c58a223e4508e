"""What a run may be told, as a frozen value read from TOML; unknown keys are refused."""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from app.errors import SettingsError


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=False))
class Config:
    """The keys of run.toml; every one has a default that suits most tables."""

    columns: tuple[str, ...] = ()
    """Columns to train on, in this order; empty means all of them."""
    drop: tuple[str, ...] = ()
    """Columns to leave out."""
    units: dict[str, str] = field(default_factory=dict)
    """Column name → unit, where the header does not say `name [unit]`."""
    attribution: str | None = None
    """Source and licence of the data, kept in the manifest."""
    split: Literal["random", "time"] = "random"
    """How rows are parted into training, validation and calibration: at random by seed, or in the order of the file."""
    seed: int = 0
    """Everything random follows from it."""
    steps: int | None = None
    """Gradient steps at most: half of them to find how many the density takes, ended earlier when the validation rows
    stop gaining, and at most as many to fit it again with all rows. By default 8,000, or 4,000 above 32 sensors, where
    a network that is trained for longer explains what should alarm."""
    width: int | None = None
    """Units in each hidden layer, 0 for the linear model; by default 256, or 128 below 2000 rows."""
    latent_size: int | None = None
    """Latents; by default one fewer than the sensors, at most 16, or 32 above 32 sensors."""
    components: int | None = None
    """Components of the learned mixture prior, 0 for the N(0, I) prior; by default as many as held-out rows ask for, or
    0 above 32 sensors, where components lie too sparsely to say what is between them."""
    decoder_scale: Literal["free", "per_sensor", "shared", "student_t"] | None = None
    """The decoder's scale: from the network, one constant a sensor, one constant for all (in training scales), or the
    network's times one drawn for each reading, which is Student's t (4 degrees of freedom), for sensors with spikes of
    their own. By default from the network, or one constant a sensor above 32 sensors."""
    kl_weight: float | None = None
    """Weight w of `mse + w·KL` (mean over D sensors, standardised): fixes the decoder's variance at w·D/2."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        least = {"steps": 1, "width": 0, "latent_size": 1, "components": 0, "seed": 0}
        for key, lowest in least.items():
            value = getattr(self, key)
            if value is not None and value < lowest:
                raise ValueError(f"{key} is {value}, the least is {lowest}")
        if self.kl_weight is not None and not 0 < self.kl_weight < float("inf"):
            raise ValueError(f"kl_weight is {self.kl_weight}, expected a positive number")
        if self.kl_weight is not None and self.decoder_scale == "student_t":
            raise ValueError("kl_weight fixes the variance of a Gaussian decoder, and decoder_scale is 'student_t'")

    def fixed_scale(self, sensors: int) -> float | None:
        """The decoder scale, in training scales, that `kl_weight` means for D sensors: σ² = w·D/2."""
        return None if self.kl_weight is None else (self.kl_weight * sensors / 2) ** 0.5

    def as_json(self) -> dict[str, Any]:
        """Every key, in JSON's types, for the manifest."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }


def read_config(path: Path | None) -> Config:
    """The configuration in a TOML file, or the default one.

    Raises:
        SettingsError: the file cannot be read, or a key is unknown or has a value that it cannot take.
    """
    if path is None:
        return Config()
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        return TypeAdapter(Config).validate_python(told)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = "".join(f"{key}: " for key in first["loc"])
        known = ", ".join(key.name for key in dataclasses.fields(Config))
        wrong = first["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{path}: {place}{wrong}; the keys are {known}") from error


@dataclass(frozen=True)
class Limits:
    """What bounds a run from outside; it does not change what is asked for."""

    minutes: float | None
    threads: int
