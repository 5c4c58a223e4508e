from pathlib import Path

import pytest

from app.errors import SettingsError
from app.settings import GUARDS, Settings, unknown_variables


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"NELBO_{name.upper()}", raising=False)


def test_defaults_are_those_of_the_readme() -> None:
    """Without any variable, the folder `models` is served on this machine's port 8000."""
    settings = Settings()

    assert (settings.models, settings.model, settings.host, settings.port) == (Path("models"), None, "127.0.0.1", 8000)
    assert (settings.device, settings.max_body_bytes, settings.max_rows) == ("auto", 8 * 2**20, 16384)


def test_the_environment_sets_and_an_argument_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is read; what is passed by name is stronger."""
    monkeypatch.setenv("NELBO_PORT", "9000")
    monkeypatch.setenv("NELBO_MODEL", "plant@3")

    assert (Settings().port, Settings().model, Settings(port=1).port) == (9000, "plant@3", 1)


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compose file that sets NELBO_MODEL= means the default."""
    monkeypatch.setenv("NELBO_MODEL", "")

    assert Settings().model is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NELBO_PORT", "eighty"),
        ("NELBO_PORT", "65536"),
        ("NELBO_DEVICE", "tpu"),
        ("NELBO_MODEL", "../plant"),
        ("NELBO_MODEL", "plant@0"),
        ("NELBO_MAX_ROWS", "0"),
        ("NELBO_WORKERS", "100000"),
        ("NELBO_THREADS", "100000"),
        ("NELBO_BODY_SECONDS", "-1"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The error says which variable, and what was found in it."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError, match=rf"^{name}: .*{value}"):
        Settings()


@pytest.mark.parametrize("name", GUARDS)
def test_an_empty_secret_opens_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Who sets it means that keys, TLS or certificates are asked for; what is given by name wins here too."""
    variable = f"NELBO_{name}".upper()
    monkeypatch.setenv(variable, "")
    with pytest.raises(
        SettingsError, match=f"^{variable}: it is set and empty; expected a value, or no such variable$"
    ):
        Settings()

    assert not Settings.model_validate({name: None}).keys_are_set


def test_a_misspelt_variable_is_told() -> None:
    """With what it may have meant; what Kubernetes sets for a service called nelbo is not ours to judge."""
    found = {
        "NELBO_KEY_FILE": "keys",
        "NELBO_PORT": "1",
        "NELBO_PORT_8000_TCP": "",
        "NELBO_SERVICE_HOST": "",
        "HOME": "/",
    }

    assert list(unknown_variables(found)) == ["NELBO_KEY_FILE is no setting, and ignored; is NELBO_KEYS_FILE meant?"]


def test_an_unknown_name_is_refused() -> None:
    """A misspelt argument is not ignored."""
    with pytest.raises(SettingsError, match="NELBO_MODLES"):
        Settings(modles=Path("models"))


def test_every_setting_is_explained() -> None:
    """There is a docstring under each field."""
    source = Path(__file__).parents[2].joinpath("app", "settings.py").read_text(encoding="utf-8")
    lines = source.splitlines()

    for name in Settings.model_fields:
        (place,) = [index for index, line in enumerate(lines) if line.startswith(f"    {name}: ")]
        assert lines[place + 1].strip().startswith('"""'), name
