"""The models being served: every `<name>/<version>/` under the repository's folder, opened at start-up."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from app import bundle
from app.calibration import Calibration
from app.engine import Engine
from app.errors import BundleError, NelboError, SettingsError, UnknownResource
from app.manifest import NAME_PATTERN
from app.model import Model
from app.settings import Settings

VERSION_PATTERN = r"[1-9][0-9]{0,8}"
"""How a version is written: in one way only, so that each has one folder and one address."""

logger = logging.getLogger("nelbo.repository")


Versions = Mapping[int, Model]
"""The valid versions of one model, the highest first."""


@dataclass(frozen=True)
class Repository:
    """What is served; it never changes, a later state of the folder is another repository."""

    models: Mapping[str, Versions]
    """By name, in alphabetical order; every model has at least one valid version."""
    default: Model
    """What answers at the root."""

    def get(self, name: str, version: int | None = None) -> Model:
        """The model of that name, in that version or in its highest.

        Raises:
            UnknownResource: `model-not-found` or `version-not-found`.
        """
        versions = self.models.get(name)
        if versions is None:
            raise UnknownResource("model-not-found", "No model of this name is served; /models lists those that are.")
        if version is None:
            return next(iter(versions.values()))
        if version not in versions:
            raise UnknownResource(
                "version-not-found", "The model is not served in this version; /models lists those that are."
            )
        return versions[version]


def open_repository(settings: Settings) -> Repository:
    """Open what `settings.models` holds; a bundle that does not verify is logged and left out.

    Raises:
        SettingsError: there is no such folder, nothing in it can be served, or it does not tell the default model.
        DeviceError: the device asked for cannot be had.
    """
    if not settings.models.is_dir():
        raise SettingsError(f"NELBO_MODELS: there is no folder {str(settings.models)!r}")
    found = {folder.name: _open_versions(folder, settings) for folder in _folders(settings.models, NAME_PATTERN)}
    models = {name: versions for name, versions in found.items() if versions}
    repository = Repository(MappingProxyType(models), _default(models, settings))
    for model in (model for versions in models.values() for model in versions.values()):
        is_default = " (default)" if model is repository.default else ""
        logger.info("serving %s%s on %s, bundle %s", model, is_default, model.engine.device, model.bundle.digest[:12])
    return repository


def open_model(path: Path, settings: Settings) -> Model:
    """The bundle at `path`, verified, its graphs opened and proved.

    Raises:
        BundleError: it must not be served.
        DeviceError: the device asked for cannot be had.
    """
    try:
        read = bundle.read(path)
        engine = Engine(read, settings.device)
        return Model(read, engine, Calibration(path / bundle.CALIBRATION, engine))
    except NelboError:
        raise
    except Exception as error:  # numpy, zipfile and onnxruntime have no common class for files of the wrong content
        raise BundleError(f"{path}: {type(error).__name__}: {error}") from error


def _open_versions(folder: Path, settings: Settings) -> Versions:
    versions: dict[int, Model] = {}
    for path in sorted(_folders(folder, VERSION_PATTERN), key=lambda path: int(path.name), reverse=True):
        try:
            versions[int(path.name)] = open_model(path, settings)
        except BundleError as error:
            logger.error("refused %s/%s: %s", folder.name, path.name, error)
    return MappingProxyType(versions)


def _folders(parent: Path, pattern: str) -> list[Path]:
    """The folders that can be a model's or a version's; dot-folders are others' business and pass in silence."""
    folders = sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    for folder in folders:
        if re.fullmatch(pattern, folder.name) is None:
            logger.warning("ignored %s: its name is not one that a model or a version can have", folder)
    return [folder for folder in folders if re.fullmatch(pattern, folder.name)]


def _default(models: Mapping[str, Versions], settings: Settings) -> Model:
    if not models:
        raise SettingsError(
            f"NELBO_MODELS: nothing in {str(settings.models)!r} can be served; expected bundles at <name>/<version>/"
        )
    served = ", ".join(f"{name}@{version}" for name, versions in models.items() for version in versions)
    if settings.model is None:
        if len(models) == 1:
            return next(iter(next(iter(models.values())).values()))
        raise SettingsError(f"NELBO_MODEL is needed to say which model answers at the root; there are: {served}")
    name, _, version = settings.model.partition("@")
    versions = models.get(name, {})
    wanted = int(version) if version else next(iter(versions), 0)
    if wanted not in versions:
        raise SettingsError(f"NELBO_MODEL: {settings.model!r} cannot be served; there are: {served}")
    return versions[wanted]
