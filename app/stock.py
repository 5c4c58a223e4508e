"""What was made of the folder of models: each bundle open, or refused for a reason that may be told to anybody."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from app.errors import BundleError
from app.folder import Address, Look
from app.model import Model, open_model
from app.settings import Settings

logger = logging.getLogger("nelbo.repository")


@dataclass(frozen=True, eq=False)
class Refused:
    """Why a bundle is not served as it lies in the folder; every attempt to open it makes its own."""

    reason: str


GONE = Refused("its folder is gone")
"""Of what is still served nevertheless, since nothing is there in its place."""
UNLOADED = Refused("it was unloaded")


@dataclass(frozen=True)
class Stock:
    """What there is, as it was when it was looked at; it never changes."""

    look: Look = field(default_factory=Look)
    models: Mapping[Address, Model] = field(default_factory=dict)
    """What is open."""
    refused: Mapping[Address, Refused] = field(default_factory=dict)
    """What cannot be opened; where something else was open at this address before, that still is."""
    unloaded: frozenset[str] = frozenset()
    """Models that are not opened, since somebody said so."""

    def forgetting(self, name: str) -> "Stock":
        """The same, but that all bundles of one model are to be opened anew, and may be."""
        seen = {address: stamp for address, stamp in self.look.bundles.items() if address.name != name}
        return replace(self, look=replace(self.look, bundles=seen), unloaded=self.unloaded - {name})

    def without(self, name: str) -> "Stock":
        """The same, but that one model is unloaded."""
        models = {address: model for address, model in self.models.items() if address.name != name}
        return replace(self, models=models, unloaded=self.unloaded | {name})

    def keeping(self, gone: Mapping[Address, Model]) -> "Stock":
        """The same, with models whose folders are gone."""
        return replace(self, models={**self.models, **gone}, refused={**self.refused, **dict.fromkeys(gone, GONE)})


def restock(before: Stock, seen: Look, settings: Settings) -> Stock:
    """What is there now: bundles that have changed are opened, one after the other, and the rest is as before.

    Raises:
        DeviceError: the device asked for cannot be had.
    """
    models: dict[Address, Model] = {}
    refused: dict[Address, Refused] = {}
    for address, stamp in seen.bundles.items():
        model, why = before.models.get(address), before.refused.get(address)
        if address.name in before.unloaded:
            model, why = None, UNLOADED
        elif before.look.bundles.get(address) != stamp:
            model, why = _open(address, before, settings)
        if model is not None:
            models[address] = model
        if why is not None:
            refused[address] = why
    for folder in sorted(seen.misnamed - before.look.misnamed):
        logger.warning("ignored %s: its name is not one that a model or a version can have", folder)
    return Stock(seen, models, refused, before.unloaded)


def _open(address: Address, before: Stock, settings: Settings) -> tuple[Model | None, Refused | None]:
    """What a bundle holds now; where it cannot be opened, what is open already."""
    known = before.models.get(address)
    try:
        return open_model(settings.models / address.name / str(address.version), settings, known), None
    except BundleError as error:
        told = before.refused.get(address)
        if told is None or told.reason != error.reason:  # a bundle that is being copied is refused again and again
            logger.error(
                "refused %s: %s%s", address, error, "; what it was before is still served" * (known is not None)
            )
        return known, Refused(error.reason)
