"""Bundles of which a few bytes are not what was sealed: none is opened, whichever file it is in."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from app import bundle
from app.errors import BundleError, NelboError
from app.model import open_model
from app.settings import Settings
from benchmarks.soak.mutations import mutated
from tests.app.test_bundle import reseal

MUTATIONS = 40
"""Of each file."""
NAMES = sorted({*bundle.FILES, bundle.SUMS})


@pytest.fixture(scope="module")
def folder(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of plant/1 that may be spoilt, and is mended."""
    return Path(shutil.copytree(models / "plant" / "1", tmp_path_factory.mktemp("spoilt") / "plant" / "1"))


@pytest.mark.parametrize("name", NAMES)
def test_no_mutation_of_a_file_is_opened(folder: Path, name: str) -> None:
    """Each is refused in words, before onnxruntime, numpy or zipfile see a byte."""
    random = np.random.default_rng(NAMES.index(name))
    file = folder / name
    content = file.read_bytes()
    try:
        for _ in range(MUTATIONS):
            file.write_bytes(mutated(content, random))
            with pytest.raises(BundleError):
                bundle.read(folder)
    finally:
        file.write_bytes(content)


def test_a_line_of_the_sums_ends_in_one_way(folder: Path) -> None:
    """Cut off, or ended as on another system, it is not what was sealed."""
    file = folder / bundle.SUMS
    content = file.read_bytes()
    ends = [place for place, byte in enumerate(content) if byte == ord("\n")]
    try:
        for end in ends:
            for other in (b"", b"\r", b"\r\n", b"\n\n", b" \n"):
                file.write_bytes(content[:end] + other + content[end + 1 :])
                with pytest.raises(BundleError):
                    bundle.read(folder)
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize("name", [bundle.CALIBRATION, bundle.PROBE, bundle.MANIFEST])
def test_a_mutation_that_is_sealed_is_an_error_in_words_at_most(folder: Path, name: str) -> None:
    """It may be harmless, as in a sensor's name; numpy, zipfile and pydantic raise nothing that gets out."""
    random = np.random.default_rng(0)
    kept = {file: file.read_bytes() for file in (folder / name, folder / bundle.SUMS)}
    refused = 0
    try:
        for _ in range(6):
            (folder / name).write_bytes(mutated(kept[folder / name], random))
            reseal(folder)
            try:
                open_model(folder, Settings(device="cpu"))
            except NelboError:
                refused += 1
    finally:
        for file, content in kept.items():
            file.write_bytes(content)
    assert refused > 1
