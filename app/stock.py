"""What was made of the folder of models: each bundle open, or refused for a reason that may be told to anybody."""

import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

from app.errors import BundleError
from app.folder import Address, Look, is_gone
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
    harmless: frozenset[str] = frozenset()
    """Digests of bundles that a process has opened and outlived."""

    def forgetting(self, name: str) -> "Stock":
        """The same, but that all bundles of one model are to be opened anew, and may be."""
        seen = {address: stamp for address, stamp in self.look.bundles.items() if address.name != name}
        return replace(self, look=replace(self.look, bundles=seen), unloaded=self.unloaded - {name})

    def without(self, name: str) -> "Stock":
        """The same, but that one model is unloaded."""
        models = {address: model for address, model in self.models.items() if address.name != name}
        return replace(self, models=models, unloaded=self.unloaded | {name})

    def after_trial(self, seen: Look, harmful: Mapping[Address, Refused], harmless: Set[str]) -> "Stock":
        """The same, but that what is harmful is refused as it was seen, and other bundles are known to be harmless."""
        bundles = {**self.look.bundles, **{address: seen.bundles[address] for address in harmful}}
        return replace(
            self,
            look=replace(self.look, bundles=bundles),
            refused={**self.refused, **harmful},
            harmless=self.harmless | harmless,
        )

    def keeping(self, gone: Mapping[Address, Model]) -> "Stock":
        """The same, with models whose folders are gone."""
        return replace(self, models={**self.models, **gone}, refused={**self.refused, **dict.fromkeys(gone, GONE)})


EMPTY = Stock()


def restock(before: Stock, seen: Look, settings: Settings) -> Stock:
    """What is there now: bundles that have changed are opened, one after the other, and the rest is as before.

    Raises:
        DeviceError: the device asked for cannot be had.
    """
    models: dict[Address, Model] = {}
    reasons: dict[Address, Refused] = {}
    for address, stamp in seen.bundles.items():
        model, why = before.models.get(address), before.refused.get(address)
        if address.name in before.unloaded:
            model, why = None, UNLOADED
        elif before.look.bundles.get(address) != stamp:
            model, why = _open(address, before, settings)
        if model is not None:
            models[address] = model
        if why is not None:
            reasons[address] = why
    for folder in sorted(seen.misnamed - before.look.misnamed):
        logger.warning("ignored %s: its name is not one that a model or a version can have", folder)
    harmless = before.harmless | {model.bundle.digest for model in models.values()}
    return Stock(seen, models, reasons, before.unloaded, harmless)


def _open(address: Address, before: Stock, settings: Settings) -> tuple[Model | None, Refused | None]:
    """What a bundle holds now; where it cannot be opened, what is open already."""
    known, folder = before.models.get(address), settings.models / str(address)
    try:
        return open_model(folder, settings, known), None
    except BundleError as error:
        if is_gone(folder):  # taken away meanwhile, which is no fault of the bundle's
            return known, None
        return known, refused(address, error, before)


def refused(address: Address, error: BundleError, before: Stock) -> Refused:
    """Tell the log why a bundle is not served, unless the same was told before: one that is copied is seen often."""
    told = before.refused.get(address)
    if told is None or told.reason != error.reason:
        kept = "; what it was before is still served" * (address in before.models)
        logger.error("refused %s: %s%s", address, error, kept)
    return Refused(error.reason)
