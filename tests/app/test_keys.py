"""Keys as they are made, written, read and found, and what becomes of a file that changes."""

import hashlib
import logging
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import SettingsError
from app.keyring import MOST_BYTES, Keyring
from app.keys import Key, new_key, read_keys
from app.settings import Settings

DIGEST = "sha256:" + 64 * "0"


def ring(text: str, file: Path) -> Keyring:
    """The keys of a file with this text."""
    file.write_text(text)
    return Keyring(Settings(keys_file=file))


def written(*keys: Key) -> str:
    return "".join(f"{key.line()}\n" for key in keys)


def test_a_new_key_is_found_by_its_secret_and_by_nothing_else(tmp_path: Path) -> None:
    """What is remembered is its name, its scopes and its SHA-256, which is no key itself."""
    secret, key = new_key("plant", "infer,admin")
    keyring = ring(written(key), tmp_path / "keys")

    assert key.line() == f"plant infer,admin sha256:{hashlib.sha256(secret.encode()).hexdigest()}"
    assert keyring.find(secret.encode()) == Key("plant", frozenset({"infer", "admin"}), key.digest)
    for wrong in (secret[:-1], secret + "A", secret.upper(), "", "plant", key.line(), key.digest.hex()):
        assert keyring.find(wrong.encode()) is None


def test_every_key_is_another_of_256_random_bits() -> None:
    """Two of one name differ, and each has 43 characters of 6 bits behind its prefix."""
    secrets = {new_key("plant", "infer")[0] for _ in range(100)}

    assert len(secrets) == 100
    assert {len(secret.removeprefix("nelbo_")) for secret in secrets} == {43}


def test_a_text_of_keys_may_have_comments_blanks_and_any_line_ends() -> None:
    """As editors leave it; hex digits may be upper case."""
    upper = "sha256:" + 64 * "A"
    keys = read_keys(f"# of the plant\r\n\r\n  first  infer\t{DIGEST}\r\n\r\nsecond admin,infer {upper}", "here")

    assert keys == (
        Key("first", frozenset({"infer"}), bytes(32)),
        Key("second", frozenset({"infer", "admin"}), 32 * b"\xaa"),
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("plant infer", "found 2 words"),
        (f"plant infer admin {DIGEST}", "found 4 words"),
        ("plant infer sha256:12", "the third word is no SHA-256"),
        ("plant infer " + 64 * "0", "the third word is no SHA-256"),
        (f"plant infer {DIGEST}0", "the third word is no SHA-256"),
        (f"plant infers {DIGEST}", "the scopes are not among infer, admin"),
        (f"plant infer, {DIGEST}", "the scopes are not among infer, admin"),
        (f"plänt infer {DIGEST}", "the name is not 1 to 64"),
        (f"{65 * 'a'} infer {DIGEST}", "the name is not 1 to 64"),
        (f"nelbo_abc infer {DIGEST}", "the name begins with nelbo_"),
    ],
)
def test_a_bad_line_is_refused_by_file_and_number(tmp_path: Path, line: str, told: str) -> None:
    """With what was expected, and without any of its words."""
    with pytest.raises(SettingsError) as refused:
        ring(f"# keys\nfirst infer {DIGEST}\n{line}\n", tmp_path / "keys")

    assert str(refused.value).startswith(f"NELBO_KEYS_FILE: {tmp_path / 'keys'}, line 3: {told}")
    assert not any(word in str(refused.value) for word in line.split() if word.rstrip(",") not in {"infer", "admin"})


@given(position=st.integers(0, 2), line=st.lists(st.sampled_from(["plant", "infer", DIGEST]), max_size=4))
def test_a_key_that_is_put_into_the_file_itself_is_not_repeated(position: int, line: list[str]) -> None:
    """Wherever in the line it stands by mistake."""
    secret, _ = new_key("plant", "infer")
    line[position:position] = [secret]

    with pytest.raises(SettingsError) as refused:
        read_keys(" ".join(line), "NELBO_KEYS")

    assert secret not in str(refused.value)


def test_keys_come_from_the_environment_and_a_file_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several in each; in a variable they may stand in one line."""
    made = [new_key(name, "infer") for name in ("one", "two", "three")]
    (tmp_path / "keys").write_text(written(made[2][1]))
    monkeypatch.setenv("NELBO_KEYS", f"{made[0][1].line()}; {made[1][1].line()}")
    monkeypatch.setenv("NELBO_KEYS_FILE", str(tmp_path / "keys"))

    keyring = Keyring(Settings())

    assert [keyring.find(secret.encode()) for secret, _ in made] == [key for _, key in made]
    assert "sha256" not in repr(Settings())


@pytest.mark.parametrize("text", ["", "\n", "# none yet\n"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    """It would be read as nobody by one person and as everybody by another."""
    with pytest.raises(SettingsError, match="there is no key in it; expected lines of the form name scope"):
        ring(text, tmp_path / "keys")


def test_what_is_no_file_of_keys_is_refused(tmp_path: Path) -> None:
    """Nothing there, a folder, a pipe, something else's bytes, a file too long to be one."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "long").write_bytes(b"#" * (MOST_BYTES + 1))
    told = {
        "nothing": "No such file or directory",
        ".": f"expected a file of at most {MOST_BYTES} bytes",
        "pipe": f"expected a file of at most {MOST_BYTES} bytes",
        "bytes": "not a text in UTF-8",
        "long": f"expected a file of at most {MOST_BYTES} bytes",
    }
    for name, reason in told.items():
        with pytest.raises(SettingsError, match=f"^NELBO_KEYS_FILE: {tmp_path / name}: {reason}$"):
            Keyring(Settings(keys_file=tmp_path / name))


def test_one_key_in_two_lines_is_refused(tmp_path: Path) -> None:
    """Only one of them could say what it is good for; two keys of one name are how it is rotated."""
    _, key = new_key("plant", "infer")
    _, newer = new_key("plant", "infer")

    assert str(ring(written(key, newer), tmp_path / "keys")) == "plant (infer), plant (infer)"
    with pytest.raises(SettingsError, match="two lines are of the same key"):
        Keyring(Settings(keys=key.line(), keys_file=tmp_path / "keys"))


@pytest.mark.parametrize("by_rename", [True, False])
def test_a_changed_file_changes_the_keys(tmp_path: Path, by_rename: bool) -> None:
    """Put in the place of the old one, or written over it: the new key opens, and the old one does not."""
    old, new = new_key("plant", "infer"), new_key("plant", "infer")
    keyring = ring(written(old[1]), tmp_path / "keys")

    where = tmp_path / ("newer" if by_rename else "keys")
    where.write_text(written(new[1]))
    where.rename(tmp_path / "keys")
    keyring.look()

    assert keyring.find(new[0].encode()) == new[1]
    assert keyring.find(old[0].encode()) is None


def test_a_key_that_is_asked_for_makes_the_file_be_looked_at(tmp_path: Path) -> None:
    """Nothing else is needed: no thread, no signal, no restart."""
    old, new = new_key("plant", "infer"), new_key("plant", "infer")
    keyring = ring(written(old[1]), tmp_path / "keys")
    (tmp_path / "keys").write_text(written(new[1]))

    given_up = time.monotonic() + 30
    while keyring.find(new[0].encode()) is None and time.monotonic() < given_up:
        time.sleep(0.05)

    assert keyring.find(new[0].encode()) == new[1]


@pytest.mark.parametrize("damage", ["gone", "empty", "half", "folder"])
def test_a_broken_file_leaves_the_keys_as_they_were(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """It is told once, without its words; when it is whole again it is read again."""
    old, new = new_key("plant", "infer"), new_key("plant", "infer")
    file = tmp_path / "keys"
    keyring = ring(written(old[1]), file)
    if damage in ("gone", "folder"):
        file.unlink()
    if damage == "folder":
        file.mkdir()
    if damage in ("empty", "half"):
        file.write_text("" if damage == "empty" else written(new[1])[:-20])
    for _ in range(3):
        keyring.look()

    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert keyring.find(old[0].encode()) == old[1]
    assert len(errors) == 1
    assert errors[0].startswith(f"the keys stay as they were: NELBO_KEYS_FILE: {file}")
    assert "sha256:" + new[1].digest.hex()[:30] not in errors[0]

    if damage == "folder":
        file.rmdir()
    file.write_text(written(new[1]))
    keyring.look()
    assert (keyring.find(old[0].encode()), keyring.find(new[0].encode())) == (None, new[1])
