import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import coding
from app.coding import Coding
from app.errors import BodyTooLarge, MalformedBody, UnsupportedMedia


@given(st.binary(max_size=500), st.sampled_from(["gzip", "deflate", None]))
def test_what_is_done_is_undone(body: bytes, done: Coding | None) -> None:
    """To the byte."""
    assert coding.undo(coding.do(body, done), done or "", limit=500) == body


def test_the_limit_is_of_the_plain_body() -> None:
    """A body of just as many bytes is read, one of one more is not."""
    for coded in (gzip.compress(bytes(1000)), zlib.compress(bytes(1000))):
        name = "gzip" if coded[:2] == b"\x1f\x8b" else "deflate"
        assert coding.undo(coded, name, limit=1000) == bytes(1000)
        with pytest.raises(BodyTooLarge, match="999 bytes"):
            coding.undo(coded, name, limit=999)


def test_gzip_has_another_name() -> None:
    """RFC 9110, 8.4.1.3."""
    assert coding.undo(gzip.compress(b"body"), "x-gzip", limit=4) == b"body"


def test_a_bomb_is_not_inflated() -> None:
    """Of 64 MiB in 64 KiB nothing is made beyond the limit."""
    bomb = zlib.compressobj(9)
    coded = b"".join(bomb.compress(bytes(2**20)) for _ in range(64)) + bomb.flush()

    with pytest.raises(BodyTooLarge):
        coding.undo(coded, "deflate", limit=2**20)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"plain", "gzip"),
        (b"", "gzip"),
        (b"plain", "deflate"),
        (gzip.compress(b"body", mtime=0)[:-1], "gzip"),
        (gzip.compress(b"body", mtime=0) + b"more", "gzip"),
        (gzip.compress(b"body", mtime=0), "deflate"),
        (zlib.compress(b"body", wbits=-15), "deflate"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_told(body: bytes, name: str) -> None:
    """Another format, cut short, or going on behind its end."""
    with pytest.raises(MalformedBody) as caught:
        coding.undo(body, name, limit=1000)

    assert caught.value.code == "invalid-coding"


@pytest.mark.parametrize("name", ["br", "zstd", "gzip, gzip", "x"])
def test_other_codings_are_refused(name: str) -> None:
    """By name, before a byte of the body is read."""
    with pytest.raises(UnsupportedMedia):
        coding.require(name)


@pytest.mark.parametrize("name", ["", "identity", "gzip", "GZIP", "x-gzip", "deflate"])
def test_these_codings_are_not(name: str) -> None:
    """Names are of any case."""
    coding.require(name)


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", None),
        ("identity", None),
        ("br, zstd", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("GZip;q=0.5", "gzip"),
        ("deflate, gzip;q=0.1", "gzip"),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip; q=0.000", None),
        ("gzip, deflate, br", "gzip"),
    ],
)
def test_an_answer_is_compressed_as_its_reader_asks(header: str, chosen: Coding | None) -> None:
    """Where it is long enough for that to be worth it."""
    assert coding.accepted(header, coding.WORTHWHILE) == chosen
    assert coding.accepted(header, coding.WORTHWHILE - 1) is None
