"""A cursor over text that is known to be JSON: it goes from token to token and builds nothing.

It never looks at more than some ten thousand characters at once, however long a token is, so that other threads have
their turn.
"""

import itertools
import re
from collections.abc import Iterator

import msgspec

from app.errors import Fault, MalformedBody

ROWS_AT_ONCE = 16
"""Flat values that are looked at together."""

_SPACE = re.compile(r"[ \t\r\n]{0,10000}+")
_STRING = re.compile(r'(?:[^"\\]{1,100}+|\\.){0,1000}+')
_PLAIN = re.compile(r'[^\s\[\]{}:,"]{0,10000}+')
_FLAT_ARRAY = re.compile(r'[^\[\]{}"]{0,10000}+')
_NO_BRACKET = re.compile(r'(?:[^\[\]{}"]{1,100}+|"(?:[^"\\]|\\.){0,100}+"){0,100}+')
_SHORT_TOKEN = re.compile(
    r'[ \t\r\n]{0,100}+(?:[\[\]{}:,]|"(?:[^"\\]|\\.){0,100}+"|[^\s\[\]{}:,"]{1,100}+(?=[\s\[\]{}:,"]|\Z))'
)
_FLAT = r"[ \t\r\n]{0,100}+[\[{][^\[\]{}]{0,20000}+[\]}]"
_FLAT_VALUE = re.compile(_FLAT)
_FLAT_VALUES = re.compile(rf"(?:{_FLAT}[ \t\r\n]{{0,100}}+,){{{ROWS_AT_ONCE}}}+")
_BYTE = re.compile(r"\(byte (\d+)\)")
_NO_NUMBER = re.compile(rb"[\s\[:,-]?-?(NaN|nan|Infinity|inf)\b")
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)
_NUMBER = msgspec.json.Decoder(float)

Scalar = bool | int | float | str | None


class Cursor:
    """Where a reading of a JSON text stands."""

    def __init__(self, body: bytes) -> None:
        """Stand before the first token of `body`; raises as `json_text` does."""
        self._text = json_text(body)
        self._at = 0

    def next(self) -> str:
        """The next token: a bracket, a comma, a colon, or a whole number, literal or string as it is written."""
        token = _SHORT_TOKEN.match(self._text, self._at)
        if token is None:
            return self._long_token()
        self._at = token.end()
        return token[0].lstrip()

    def names(self, pointer: str) -> Iterator[str]:
        """The names in an object whose brace was just read; whoever asks reads each value.

        Raises:
            MalformedBody: `duplicate-key`.
        """
        seen: set[str] = set()
        token = self.next()
        while token != "}":
            name = str(msgspec.json.decode(self.next() if token == "," else token))
            if name in seen:
                raise _malformed("duplicate-key", below(pointer, name), "this name was given before in the same object")
            seen.add(name)
            self.next()
            yield name
            token = self.next()

    def items(self) -> Iterator[int]:
        """The indices in an array whose bracket was just read; whoever asks reads each item."""
        start = self._at
        if self.next() == "]":
            return
        self._at = start
        for index in itertools.count():
            yield index
            if self.next() == "]":
                return

    def flat_value(self) -> str | None:
        """The array or object that comes next, where it holds no other and is not long; the cursor stays."""
        flat = _FLAT_VALUE.match(self._text, self._at)
        return None if flat is None else flat[0]

    def flat_values(self) -> str | None:
        """The `ROWS_AT_ONCE` such values that come next, a comma behind each; the cursor stays."""
        flat = _FLAT_VALUES.match(self._text, self._at)
        return None if flat is None else flat[0]

    def pass_by(self, text: str) -> None:
        """Go behind `text`, which comes next."""
        self._at += len(text)

    def pass_rest_of_flat_array(self) -> int | None:
        """Go behind an array of which only numbers and literals are left; how many commas these had between them."""
        end = self._behind(_FLAT_ARRAY, self._at)
        if self._text[end] != "]":
            return None
        commas = self._text.count(",", self._at, end)
        self._at = end + 1
        return commas

    def next_bracket(self) -> str:
        """The next bracket of an array, past its numbers, literals and strings."""
        self._at = self._behind(_NO_BRACKET, self._at)
        while self._text[self._at] == '"':  # a long string
            self._at = self._behind(_NO_BRACKET, self._behind(_STRING, self._at + 1) + 1)
        self._at += 1
        return self._text[self._at - 1]

    def _long_token(self) -> str:
        start = self._behind(_SPACE, self._at)
        if self._text[start] == '"':
            self._at = self._behind(_STRING, start + 1) + 1
        else:
            self._at = max(start + 1, self._behind(_PLAIN, start))
        return self._text[start : self._at]

    def _behind(self, pattern: re.Pattern[str], at: int) -> int:
        """Where the text from `at` on is something else than the pattern has, a part of it at a time."""
        while (found := pattern.match(self._text, at)) and found.end() > at:
            at = found.end()
        return at


def require_names_once(body: bytes) -> None:
    """Refuse an object that has two members of the same name, whatever else is in a body.

    Raises:
        MalformedBody: `duplicate-key` or `invalid-json`.
    """
    cursor = Cursor(body)
    try:
        _walk(cursor, "", cursor.next())
    except RecursionError:
        raise MalformedBody("invalid-json", "The body is nested too deeply.") from None


def _walk(cursor: Cursor, place: str, token: str) -> None:
    if token == "{":
        for name in cursor.names(place):
            _walk(cursor, below(place, name), cursor.next())
    elif token == "[":
        while (bracket := cursor.next_bracket()) != "]":
            _walk(cursor, f"{place}[]", bracket)


def below(pointer: str, name: str) -> str:
    """The RFC 6901 pointer to a member; of a name, which may not be ours and may be long, it tells 64 characters."""
    return f"{pointer}/{name[:64].replace('~', '~0').replace('/', '~1')}"


def number(pointer: str, token: str) -> float:
    """The double that a number's token stands for.

    Raises:
        MalformedBody: `invalid-json`, when there is no such double.
    """
    try:
        return _NUMBER.decode(token)
    except msgspec.DecodeError:
        raise _malformed("invalid-json", pointer, "this number is beyond the range of an IEEE double") from None


def scalar(pointer: str, token: str) -> Scalar:
    """The plain value that a token stands for; a string stays as it is written."""
    named: dict[str, bool | None] = {"true": True, "false": False, "null": None}
    if token in named:
        return named[token]
    if token[0] == '"':
        return token
    value = number(pointer, token)
    # Twenty digits are beyond every integer that is asked for, and Python refuses to read thousands of them.
    return int(token) if len(token) < 20 and token.removeprefix("-").isdigit() else value


def _malformed(code: str, pointer: str, detail: str) -> MalformedBody:
    return MalformedBody(code, f"{pointer}: {detail}.", (Fault(pointer, detail),))


def json_text(body: bytes) -> str:
    """The text of a body, or of a part of one, that is JSON.

    Raises:
        MalformedBody: `invalid-json`, when it is not JSON in UTF-8.
    """
    try:
        _SYNTAX.decode(body)
        return body.decode("utf-8")
    except RecursionError:
        raise MalformedBody("invalid-json", "Expected JSON that is less deeply nested.") from None
    except UnicodeDecodeError as error:
        raise MalformedBody("invalid-json", f"Expected JSON in UTF-8, which ends at byte {error.start}.") from None
    except msgspec.DecodeError as error:
        malformed, _, reason = str(error).partition("JSON is malformed: ")
        reason = "it ends too early, or in half a surrogate pair" if malformed else reason
        raise MalformedBody("invalid-json", f"Expected JSON: {with_hint(reason, body)}.") from None


def with_hint(reason: str, body: bytes) -> str:
    """The decoder's reason and, where it is what Python and JavaScript write for no number, what to write instead."""
    at = _BYTE.search(reason)
    if at is None or _NO_NUMBER.match(body, max(0, int(at[1]) - 1)) is None:
        return reason
    return f"{reason}: NaN and Infinity are no JSON, and null is a missing sensor"
