"""The README tells the truth: its commands run, their answers are those it shows, its tables are complete."""

import json
import math
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from app.main import create_app
from app.refusals import STATUS
from app.settings import Settings
from training.config import Config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ASKED = re.findall(r"```sh\n(curl .*?)```\n\n```json\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The bundled model, served at a free port."""
    config = uvicorn.Config(create_app(Settings(models=ROOT / "models")), port=0, log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(("command", "shown"), ASKED, ids=[re.search(r"8000(/\w+)", c)[1] for c, _ in ASKED])  # type: ignore[index]
def test_a_command_answers_what_is_shown(address: str, command: str, shown: str) -> None:
    """Each curl of the README, run as it stands, answers what the README shows, to 6 digits."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")

    told = subprocess.run(
        ["bash", "-c", command.replace("127.0.0.1:8000", address)], capture_output=True, text=True, check=True
    )

    same(json.loads(told.stdout), json.loads(shown))


def same(found: object, shown: object) -> None:
    """Equal, numbers to six digits."""
    if isinstance(shown, dict):
        assert isinstance(found, dict)
        assert found.keys() == shown.keys()
        for key in shown:
            same(found[key], shown[key])
    elif isinstance(shown, list):
        assert isinstance(found, list)
        assert len(found) == len(shown)
        for one, other in zip(found, shown, strict=True):
            same(one, other)
    elif isinstance(shown, float):
        assert isinstance(found, float | int)
        assert math.isclose(found, shown, rel_tol=1e-5, abs_tol=1e-5), (found, shown)
    else:
        assert found == shown


def test_every_verb_is_shown() -> None:
    """The first screen has a command for each of the four verbs."""
    assert {re.search(r"8000/(\w+)", command)[1] for command, _ in ASKED} == {
        "score",
        "reconstruct",
        "encode",
        "sample",
    }  # type: ignore[index]


def test_every_setting_is_documented() -> None:
    """Each variable that the service reads has a row with its default."""
    for name, field in Settings.model_fields.items():
        row = re.search(rf"^\| `NELBO_{name.upper()}` \| (.*?) \|", README, flags=re.MULTILINE)
        assert row is not None, name
        default = "unset" if field.default is None else str(field.default)
        assert row[1].strip("`").replace(",", "") == default, name


def test_every_key_of_a_run_is_documented() -> None:
    """Each key of run.toml is in the README's table, and there is at most a dozen."""
    for key in Config.__dataclass_fields__:
        assert f"`{key}`" in README
    assert len(Config.__dataclass_fields__) <= 12


def test_every_error_code_is_documented() -> None:
    """Each code that the app can answer with is in the README's table, beside its status."""
    source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "app").glob("*.py"))
    raised = re.findall(r"(\w+)\(\s*\"([a-z]+(?:-[a-z]+)+)\"", source)
    statuses = {kind.__name__: status for kind, status in STATUS.items()}
    told = {(statuses[kind], code) for kind, code in raised if kind in statuses}
    assert len(told) > 8
    for status, code in told:
        assert re.search(rf"^\| {status} \|.*`{code}`", README, flags=re.MULTILINE), (status, code)


def test_what_security_names_is_there() -> None:
    """Each file that SECURITY.md says refuses something, or tests that it is refused."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:app|deploy|tests)/[\w/.]+)`", text))

    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]
