"""A body, being read: decoded once, and only when something about it is odd read again by `diagnosis` to say what.

The decoder lets no other thread have its turn until it is done, so that it is never given much at once: a long body is
decoded without its rows, and these in pieces; one that has too much in it for that is not decoded at all.
"""

from collections.abc import Iterator
from typing import NoReturn, Self

import msgspec
import numpy as np
from msgspec import Raw, Struct

from app.array import Array, has_nan
from app.bodies import Body, names_in
from app.diagnosis import explain
from app.errors import MalformedBody
from app.fields import Fields
from app.shape import Row, Shape
from app.slices import LONG, slices

VALUES_AT_ONCE = 2**16
"""Values that are put in their places at once."""

_ROWS = msgspec.json.Decoder(list[Row])


class Outline(Struct, frozen=True):
    """A body whose rows were passed over."""

    rows: Raw = Raw()


_OUTLINE = msgspec.json.Decoder(Outline)


class Rows(Struct, frozen=True):
    """Rows of readings."""

    x: Array
    """[n, D], NaN where a sensor is missing."""
    complete: bool
    """Whether none is."""


class Reading(Struct, frozen=True):
    """One body, being read."""

    body: bytes
    fields: Fields
    shape: Shape
    text: bytes
    """What is decoded at once: the body, but of a long one not its rows."""
    apart: bytes | None
    """The rows of a long one."""

    @classmethod
    def of(cls, body: bytes, fields: Fields, shape: Shape) -> Self:
        """The beginning of a reading.

        Raises:
            MalformedBody, InvalidContent: a long body is wrong.
        """
        short = cls(body, fields, shape, body, None)
        # A body with more brackets has too many rows or nests them, and is never built in memory.
        if len(body) > shape.most_brackets and _brackets(body) > shape.most_brackets:
            short.refuse()
        if len(body) <= LONG:
            return short
        others = len(fields) + shape.most_commas
        if body.count(b",") > others + shape.max_rows * shape.most_commas:
            short.refuse()
        try:
            rows = _OUTLINE.decode(body).rows
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            short.refuse()
        start = _address(rows) - _address(body) if rows else len(body)
        stop = start + len(memoryview(rows))
        text = body[:start] + b"[]" * bool(rows) + body[stop:]
        if text.count(b",") > others:
            short.refuse()
        return cls(body, fields, shape, text, body[start:stop] or None)

    def decoded(self, decoder: msgspec.json.Decoder[Body]) -> Body:
        """The body's fields, every name in it once."""
        if not self.body:
            raise MalformedBody("empty-body", "The body is empty; expected a JSON object.")
        try:
            read = decoder.decode(self.text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.refuse()
        # The decoder keeps the last of two equal names. Our bodies hold no text but names, so quotes count the names.
        if self.text.count(b'"') != 2 * read.names():
            explain(self.body, self.fields, self.shape)
        return read

    def rows(self, rows: list[Row]) -> Rows:
        """The matrix of rows, in the sensors' order; those that were set apart are the rows, where there are some."""
        x = self._matrix(rows) if self.apart is None else self._matrix_of_pieces(self.apart)
        return Rows(x, complete=not has_nan(x))

    def _matrix(self, rows: list[Row]) -> Array:
        if not 0 < len(rows) <= self.shape.max_rows:
            self.refuse()
        try:
            x = np.array(rows, dtype=np.float64)
        except (TypeError, ValueError):  # rows by name, or of different lengths
            x = self._by_position(rows)
        if x.ndim != 2 or x.shape[1] != len(self.shape.sensors):
            self.refuse()
        return x

    def _matrix_of_pieces(self, text: bytes) -> Array:
        parts: list[Array] = []
        quotes = 0
        for rows in self._pieces(text):
            quotes += 2 * names_in(rows)
            parts.append(self._matrix(rows))
        if not parts or sum(map(len, parts)) > self.shape.max_rows:
            self.refuse()
        if text.count(b'"') != quotes:
            explain(self.body, self.fields, self.shape)
        return np.concatenate(parts)

    def _pieces(self, text: bytes) -> Iterator[list[Row]]:
        for piece in slices(text, b"]}", whole=self.shape.bracketed):
            # More values than its rows may have are never built.
            if piece.count(b",") > _brackets(piece) * self.shape.most_commas:
                self.refuse()
            try:
                yield _ROWS.decode(b"[" + piece + b"]")
            except msgspec.DecodeError:
                self.refuse()

    def _by_position(self, rows: list[Row]) -> Array:
        sensors, known = self.shape.sensors, self.shape.known
        if any(not row.keys() <= known if isinstance(row, dict) else len(row) != len(sensors) for row in rows):
            self.refuse()
        some = max(1, VALUES_AT_ONCE // len(sensors))
        return np.concatenate([self._placed(rows[start : start + some]) for start in range(0, len(rows), some)])

    def _placed(self, rows: list[Row]) -> Array:
        names = self.shape.sensors
        placed = [[row.get(name) for name in names] if isinstance(row, dict) else row for row in rows]
        return np.array(placed, dtype=np.float64)

    def refuse(self) -> NoReturn:
        """Say what is wrong."""
        explain(self.body, self.fields, self.shape)
        raise MalformedBody("invalid-json", "The body cannot be read as the JSON that is documented here.")


def _address(part: bytes) -> int:
    """Where in memory it begins. What the decoder passes over is a view of the body (msgspec.Raw), not a copy."""
    return np.frombuffer(part, np.uint8).ctypes.data


def _brackets(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")
