"""The models being served: a stock of them, by name and version, and which one answers at the root."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from app.errors import SettingsError, UnknownResource
from app.folder import Address, look
from app.model import SHOWN_DIGITS, Model
from app.settings import Settings
from app.stock import EMPTY, GONE, Stock, restock
from app.trial import tried

logger = logging.getLogger("nelbo.repository")

Versions = Mapping[int, Model]
"""The valid versions of one model, the highest first."""


@dataclass(frozen=True, eq=False)
class Repository:
    """What is served; it never changes, a later state of the folder is another repository."""

    stock: Stock
    default: Model
    """What answers at the root."""

    @cached_property
    def models(self) -> Mapping[str, Versions]:
        """By name, in alphabetical order; every model has at least one valid version."""
        models: dict[str, dict[int, Model]] = {}
        for name, version in sorted(self.stock.models, key=lambda address: (address.name, -address.version)):
            models.setdefault(name, {})[version] = self.stock.models[Address(name, version)]
        return MappingProxyType(models)

    @property
    def every_model(self) -> list[Model]:
        """Every version of every model, by name and version."""
        return [self.stock.models[address] for address in sorted(self.stock.models)]

    def get(self, name: str, version: int | None = None) -> Model:
        """The model of that name, in that version or in its default one.

        That is the highest, but of the model at the root the one that answers there: a pin holds at every address.

        Raises:
            UnknownResource: `model-not-found` or `version-not-found`.
        """
        versions = self.models.get(name)
        if versions is None:
            raise UnknownResource("model-not-found", "No model of this name is served; /models lists those that are.")
        if version is None:
            return self.default if self.default.manifest.name == name else next(iter(versions.values()))
        if version not in versions:
            raise UnknownResource(
                "version-not-found", "The model is not served in this version; /models lists those that are."
            )
        return versions[version]


def open_repository(settings: Settings, before: Stock = EMPTY) -> Repository:
    """Open what `settings.models` holds beside the stock before; a bundle that does not verify is logged and left out.

    Raises:
        SettingsError: there is no such folder, it cannot be read, nothing in it can be served, or it does not tell the
            default model.
        DeviceError: the device asked for cannot be had.
    """
    _require_folder(settings.models)
    stock = restock(before, look(settings.models), settings)
    repository = Repository(stock, _default(stock, settings))
    _tell(EMPTY, None, repository)
    return repository


def settled(settings: Settings) -> Settings:
    """The settings that name the only model there is: a worker that starts when there are two goes on with it."""
    names = {address.name for address in look(settings.models).bundles}
    return settings if settings.model or len(names) != 1 else settings.model_copy(update={"model": names.pop()})


def renewed(served: Repository, before: Stock, settings: Settings) -> Repository:
    """What the folder holds now, made of `before`, the stock of what is served; that itself where nothing has changed.

    While there is nothing in a model's place it stays, though its folder is gone: the default model, and all of them
    where no bundle is left.

    Raises:
        DeviceError: the device asked for cannot be had.
    """
    seen = look(settings.models)
    if before is served.stock and seen == before.look:
        return served
    stock = restock(tried(before, seen, settings), seen, settings)
    default = _found(stock, settings.model or served.default.manifest.name)
    if default is None:
        default = served.default
        address = Address(default.manifest.name, default.manifest.version)
        stock = stock.keeping({address: default} if stock.models else before.models)
    repository = Repository(stock, default)
    _tell(served.stock, served.default, repository)
    if settings.model is None and len(served.models) == 1 < len(repository.models):
        logger.warning("NELBO_MODEL is not set: %s stays at the root, but the next start will ask which", default)
    return repository


def _require_folder(models: Path) -> None:
    try:
        next(models.iterdir(), None)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SettingsError(f"NELBO_MODELS: there is no folder {str(models)!r}") from error
    except OSError as error:
        raise SettingsError(f"NELBO_MODELS: {str(models)!r} cannot be read: {error.strerror}") from error


def _default(stock: Stock, settings: Settings) -> Model:
    if not stock.models:
        raise SettingsError(
            f"NELBO_MODELS: nothing in {str(settings.models)!r} can be served; expected bundles at <name>/<version>/"
        )
    served = ", ".join(str(model) for model in stock.models.values())
    names = {address.name for address in stock.models}
    if settings.model is None and len(names) > 1:
        raise SettingsError(f"NELBO_MODEL, or --model, must say which of the models is meant; there are: {served}")
    default = _found(stock, settings.model or names.pop())
    if default is None:
        raise SettingsError(f"NELBO_MODEL: {settings.model!r} cannot be served; there are: {served}")
    return default


def _found(stock: Stock, wanted: str) -> Model | None:
    """The model called `name`, in its highest version, or `name@3`."""
    name, _, version = wanted.partition("@")
    versions = [address.version for address in stock.models if address.name == name]
    chosen = int(version) if version else max(versions, default=0)
    return stock.models.get(Address(name, chosen))


def _tell(before: Stock, default: Model | None, now: Repository) -> None:
    """Log what is served now and was not before, and what is served no more or only for want of another."""
    for address, model in now.stock.models.items():
        if before.models.get(address) is not model:
            root, digest = " (default)" * (model is now.default), model.bundle.digest[:SHOWN_DIGITS]
            logger.info("serving %s%s on %s, bundle %s", model, root, model.engine.device, digest)
        elif model is now.default is not default:
            logger.info("%s answers at the root", model)
        if now.stock.refused.get(address) is GONE is not before.refused.get(address):
            logger.error("%s is served on: %s, and nothing is in its place", model, GONE.reason)
        if before.refused.get(address) is GONE is not now.stock.refused.get(address):
            logger.info("the folder of %s is there again", model)
    for address in before.models.keys() - now.stock.models.keys():
        logger.info("%s is served no more", before.models[address])
