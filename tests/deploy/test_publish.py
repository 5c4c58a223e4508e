"""deploy/publish on real folders: what is put into place, and what is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app import bundle
from app.model import open_model
from app.settings import Settings
from tests.app.test_shelf import put, spoil

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(models: Path, tmp_path: Path) -> Path:
    """A bundle that is to be published."""
    return put(models, tmp_path, "plant", 3)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    return folder


def publish(made: Path, repository: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script, as a shell would."""
    variables = {"NELBO": f"{sys.executable} -m app", "NELBO_DEVICE": "cpu"} | variables
    return subprocess.run(
        [ROOT / "deploy" / "publish", made, repository],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def refused(told: subprocess.CompletedProcess[str], repository: Path) -> str:
    """What a run said that published nothing and left nothing behind."""
    assert told.returncode == 1
    assert list(repository.iterdir()) == []
    return told.stderr


def test_what_verifies_is_found_or_said_to_be_missing(made: Path, repository: Path, tmp_path: Path) -> None:
    """On PATH, in the checkout's own .venv or as NELBO names it; a bundle is not blamed for what is not installed."""
    assert "there is no command verifier to verify with; NELBO can name it" in refused(
        publish(made, repository, NELBO="verifier"), repository
    )
    beside = tmp_path / "checkout" / "deploy" / "publish"
    beside.parent.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "publish", beside)
    nelbo = tmp_path / "checkout" / ".venv" / "bin" / "nelbo"
    nelbo.parent.mkdir(parents=True)
    nelbo.write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    nelbo.chmod(0o755)

    told = subprocess.run(
        [beside, made, repository],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NELBO_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (told.returncode, told.stdout) == (0, "published plant/3\n"), told.stderr


def test_a_bundle_is_put_into_place(made: Path, repository: Path) -> None:
    """Whole, for everybody to read, and once."""
    (made / bundle.MANIFEST).chmod(0o600)

    told = publish(made, repository)

    assert (told.returncode, told.stdout) == (0, "published plant/3\n"), told.stderr
    assert [entry.name for entry in repository.iterdir()] == ["plant"]
    assert str(open_model(repository / "plant" / "3", Settings(device="cpu"))) == "plant@3"
    assert (repository / "plant" / "3" / bundle.MANIFEST).stat().st_mode & 0o777 == 0o644

    again = publish(made, repository)

    assert again.returncode == 1
    assert "plant/3 is published already" in again.stderr


def test_a_bundle_that_must_not_be_served_is_not_published(made: Path, repository: Path) -> None:
    """It says why, as nelbo inspect does."""
    spoil(made)

    said = refused(publish(made, repository), repository)

    assert "score.onnx: SHA-256 is" in said
    assert "plant/3 must not be served" in said


def test_folders_that_are_not_there_are_told(made: Path, repository: Path) -> None:
    """Which one, and before anything is written."""
    assert "there is no bundle at" in refused(publish(made / "none", repository), repository)
    assert publish(made, repository / "none").stderr.startswith("publish: there is no repository at")


@pytest.mark.parametrize("tool", ["minisign", "cosign"])
def test_a_demanded_signature_that_cannot_be_verified_refuses(made: Path, repository: Path, tool: str) -> None:
    """Without the tool, or without the signature, a key that is named is not passed over."""
    said = refused(publish(made, repository, **{f"NELBO_{tool.upper()}_KEY": "plant.pub"}), repository)

    assert said.startswith("publish: a signature is demanded, and ")


@pytest.mark.skipif(shutil.which("minisign") is None, reason="needs minisign")
def test_what_is_signed_is_published_and_nothing_else(made: Path, repository: Path, tmp_path: Path) -> None:
    """By a key of minisign's; one bit of SHA256SUMS, or another's signature, is refused before anything is read."""
    for name in ("own", "other"):
        key = ["-p", tmp_path / f"{name}.pub", "-s", tmp_path / f"{name}.key"]
        subprocess.run(["minisign", "-G", "-W", *key], check=True, capture_output=True)
    sums, signature = made / bundle.SUMS, made.with_name("3.minisig")

    def sign(name: str) -> None:
        command = ["minisign", "-S", "-s", tmp_path / f"{name}.key", "-m", sums, "-x", signature]
        subprocess.run(command, check=True, capture_output=True)

    own = {"NELBO_MINISIGN_KEY": str(tmp_path / "own.pub")}
    sign("other")
    assert "is not this key's signature of plant/3" in refused(publish(made, repository, **own), repository)

    sign("own")
    spoil(made, bundle.SUMS)
    assert "is not this key's signature of plant/3" in refused(publish(made, repository, **own), repository)

    spoil(made, bundle.SUMS)
    assert publish(made, repository, **own).stdout == "published plant/3\n"
