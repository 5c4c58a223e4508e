"""What the image is made of: locked by hashes, listed in a bill of materials, described to an orchestrator."""

import json
import re
import subprocess
import sys
import sysconfig
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from app.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13")
ARCHITECTURES = ("x86_64", "aarch64")


@dataclass(frozen=True)
class Locked:
    """One entry of a lock."""

    requirement: Requirement
    hashes: frozenset[str]

    @property
    def name(self) -> str:
        """In the one spelling that indexes know."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The only one that it allows."""
        (pin,) = self.requirement.specifier
        assert pin.operator == "=="
        return pin.version

    def applies(self, python: str, machine: str) -> bool:
        """Whether it is installed under this CPython on Linux."""
        linux = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine}
        versions = {"python_version": python, "python_full_version": f"{python}.2"}
        marker = self.requirement.marker
        return marker is None or marker.evaluate({**default_environment(), **linux, **versions})


def lock(name: str) -> list[Locked]:
    """The entries of a lock, a comment and an option being none."""
    text = re.sub(r"^ *#.*\n", "", (DEPLOY / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries = text.replace("\\\n", " ").splitlines()
    return [
        Locked(
            Requirement(entry.partition(" --hash")[0]), frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
        )
        for entry in entries
    ]


LOCKS = ("requirements.lock", "build.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_every_file_and_names_no_place(name: str) -> None:
    """Each entry is one version with its hashes; where files come from is up to who installs."""
    text = (DEPLOY / name).read_text(encoding="utf-8")

    assert all(entry.hashes and entry.version for entry in lock(name))
    assert not re.search(r"://|--index|--find-links|--trusted| @ |file:", text)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_lock_holds_what_the_service_needs(python: str, machine: str) -> None:
    """Every serving dependency is locked once for each Python, at a version that pyproject.toml allows."""
    locked = [entry for entry in lock("requirements.lock") if entry.applies(python, machine)]
    versions = {entry.name: entry.version for entry in locked}
    needed = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["cpu"]

    assert len(versions) == len(locked)
    for requirement in map(Requirement, needed):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_the_lock_holds_what_these_need_in_turn() -> None:
    """Whatever a locked distribution asks for, as it is installed here, is locked too: pip would refuse the rest."""
    names = {entry.name for entry in lock("requirements.lock")}
    pending = [
        Requirement(text)
        for text in PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["cpu"]
    ]
    seen = set()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        assert name in names, f"{requirement} is not locked"
        for each in map(Requirement, metadata.requires(name) or []):
            wanted = [{"extra": extra} for extra in (*requirement.extras, "")]
            if (each.marker is None or any(map(each.marker.evaluate, wanted))) and str(each) not in seen:
                seen.add(str(each))
                pending.append(each)


@pytest.mark.parametrize("name", LOCKS)
def test_nothing_of_training_is_locked(name: str) -> None:
    """Neither torch nor onnx, nor what reads multipart forms, nor what unpickles."""
    forbidden = {"torch", "onnx", "onnxscript", "onnx-ir", "scipy", "pyarrow", "pip", "setuptools", "joblib"}
    forbidden |= {"python-multipart", "multipart", "cloudpickle", "dill", "pandas", "scikit-learn"}

    assert not forbidden & {entry.name for entry in lock(name)}


def test_the_wheels_builder_is_locked_too() -> None:
    """What pyproject.toml says builds nelbo is in the other lock, at a version that it allows."""
    versions = {entry.name: entry.version for entry in lock("build.lock")}

    for requirement in map(Requirement, PROJECT["build-system"]["requires"]):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


def test_the_dockerfile_installs_from_locks_only() -> None:
    """Whatever pip is given is a lock with hashes, or nelbo itself without an index."""
    joined = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = re.findall(r"pip install[^&\n]*", joined)

    assert len(installs) == 3
    for install in installs:
        assert ("--require-hashes" in install and "--requirement" in install) or (
            "--no-index --no-deps --no-build-isolation" in install
        )


def test_the_dockerfile_has_no_smell() -> None:
    """hadolint finds nothing."""
    done = subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "hadolint", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("script", ["lock", "sbom", "container-check"])
def test_scripts_are_runnable(script: str) -> None:
    """They parse, and git keeps them executable."""
    done = subprocess.run(["bash", "-n", DEPLOY / script], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert (DEPLOY / script).stat().st_mode & 0o111


def test_the_bill_of_materials_names_everything_locked() -> None:
    """nelbo, and each distribution that the image's Python takes, by version, package URL and hashes."""
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    done = subprocess.run(
        [DEPLOY / "sbom", "--no-validate"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    bill = json.loads(done.stdout)

    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "nelbo")
    assert bill["metadata"]["component"]["version"] == PROJECT["project"]["version"]
    found = {
        (part["name"], part["version"], part["purl"]): {
            digest["content"] for reference in part["externalReferences"] for digest in reference.get("hashes", [])
        }
        for part in bill["components"]
    }
    assert found == {
        (entry.name, entry.version, f"pkg:pypi/{entry.name}@{entry.version}"): entry.hashes
        for entry in lock("requirements.lock")
        if entry.applies("3.11", "x86_64")
    }


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, dict]:
    """The manifest's parts by their kind."""
    parts = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
    return {part["kind"]: part for part in parts}


def test_kubernetes_knows_every_field(kubernetes: dict[str, dict]) -> None:
    """Each part is what the schema of Kubernetes says, a field that is not in it being an error."""
    assert set(kubernetes) == {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    for part in kubernetes.values():
        kubernetes_validate.validate(part, "1.33", strict=True)


def test_a_misspelt_field_would_show(kubernetes: dict[str, dict]) -> None:
    """The test above can fail."""
    wrong = {**kubernetes["PodDisruptionBudget"], "specs": {}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_the_pod_may_do_nothing_but_answer(kubernetes: dict[str, dict]) -> None:
    """No root, no capability, nothing to write, no token, no way out; and an image of this version."""
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert not pod["automountServiceAccountToken"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"]["memory"] == "512Mi"
    assert container["image"] == f"nelbo:{PROJECT['project']['version']}"
    assert kubernetes["NetworkPolicy"]["spec"]["egress"] == []
    assert set(kubernetes["NetworkPolicy"]["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert kubernetes["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_the_pod_has_time_to_stop(kubernetes: dict[str, dict]) -> None:
    """What Kubernetes grants is more than preStop and all that the service takes, with five seconds to spare."""
    pod = kubernetes["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = Settings(
        **{variable["name"].removeprefix("NELBO_").lower(): variable["value"] for variable in container["env"]}
    )
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert pod["terminationGracePeriodSeconds"] >= before + settings.drain_seconds + settings.shutdown_seconds + 5


def test_a_slow_pod_is_taken_out_before_it_is_killed(kubernetes: dict[str, dict]) -> None:
    """Readiness gives up long before liveness does, and asks another address."""
    (container,) = kubernetes["Deployment"]["spec"]["template"]["spec"]["containers"]
    ready, live = container["readinessProbe"], container["livenessProbe"]

    assert ready["httpGet"]["path"] != live["httpGet"]["path"]
    assert 5 * ready["periodSeconds"] * ready["failureThreshold"] < live["periodSeconds"] * live["failureThreshold"]
