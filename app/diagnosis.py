"""What exactly is wrong with a body that did not decode: the second, slower reading, place by place.

It walks the text from the front and never builds the body in memory; rows in which nothing is wrong are passed at the
speed of the decoder, and it ends at the tenth fault. So the worst body of the greatest length costs little more than a
good one.
"""

from typing import NoReturn

import msgspec

from app.cursor import ROWS_AT_ONCE, Cursor, below, number, scalar
from app.errors import Fault, InvalidContent
from app.fields import Fields, Group, OneRow, Option, RowsField
from app.shape import FLOAT32_LIMIT, Row, Shape

MOST_FAULTS = 10

_ROWS = msgspec.json.Decoder(list[Row])


def explain(body: bytes, fields: Fields, shape: Shape) -> None:
    """Return when nothing is wrong with `body`.

    Raises:
        MalformedBody: `invalid-json` or `duplicate-key`.
        InvalidContent: every other code, with the first ten places.
    """
    walk = _Walk(Cursor(body), shape)
    walk.body(fields)
    walk.conclude()


class _Walk:
    """One reading of a body, with what was found wrong so far."""

    def __init__(self, cursor: Cursor, shape: Shape) -> None:
        self._cursor = cursor
        self._shape = shape
        self._faults: list[Fault] = []
        self._code = ""

    def body(self, fields: Fields) -> None:
        if self._cursor.next() != "{":
            self._stop("shape", "", "expected an object")
        self._object("", fields)

    def conclude(self) -> None:
        if self._faults:
            first = self._faults[0]
            raise InvalidContent(self._code, f"{first.pointer or 'body'}: {first.detail}.", tuple(self._faults))

    def _fault(self, code: str, pointer: str, detail: str) -> None:
        self._code = self._code or code
        self._faults.append(Fault(pointer, detail))
        if len(self._faults) == MOST_FAULTS:
            self.conclude()

    def _stop(self, code: str, pointer: str, detail: str) -> NoReturn:
        self._fault(code, pointer, detail)
        self.conclude()
        raise AssertionError("a fault was just told, so there is one to conclude with")

    def _object(self, pointer: str, fields: Fields) -> None:
        missing = {name for name, field in fields.items() if field.required}
        for name in self._cursor.names(pointer):
            here = below(pointer, name)
            missing.discard(name)
            if name in fields:
                self._field(here, fields[name])
            else:
                self._fault("unknown-field", here, f"no such field here; there are {', '.join(fields)}")
                self._pass_over(self._cursor.next())
        for name in sorted(missing):
            self._fault("missing-field", below(pointer, name), "this field is required")

    def _field(self, pointer: str, field: Option | RowsField | OneRow | Group) -> None:
        token = self._cursor.next()
        match field:
            case RowsField():
                self._rows(pointer, token)
            case OneRow():
                self._row(pointer, token)
            case Option():
                self._option(pointer, token, field)
            case Group() if token == "{":
                self._object(pointer, field.fields)
            case Group():
                self._fault("invalid-option", pointer, f"expected an object of {', '.join(field.fields)}")
                self._pass_over(token)

    def _pass_over(self, token: str) -> None:
        """Go on behind a value that is wrong already; a nested one may be long, so it is where the reading ends."""
        if token in "[{":
            self.conclude()

    def _option(self, pointer: str, token: str, option: Option) -> None:
        if token in "[{" or not option.accepts(scalar(pointer, token)):
            self._fault("invalid-option", pointer, f"expected {option.expected}")
            self._pass_over(token)

    def _rows(self, pointer: str, token: str) -> None:
        if token != "[":
            self._stop("shape", pointer, "expected an array of rows")
        count = careful = 0
        for _ in self._cursor.items():
            if not careful and self._pass_good(self._cursor.flat_values()):
                count += ROWS_AT_ONCE
            else:  # one of the next is wrong, or there are fewer
                careful = (careful or ROWS_AT_ONCE) - 1
                if count < self._shape.max_rows and not self._pass_good(self._cursor.flat_value()):
                    self._row(f"{pointer}/{count}", self._cursor.next())
                count += 1
            if count > self._shape.max_rows:
                self._stop("too-many-rows", pointer, f"expected at most {self._shape.max_rows} rows")
        if count == 0:
            self._fault("no-rows", pointer, "expected at least one row")

    def _pass_good(self, text: str | None) -> bool:
        """Go behind flat values, with commas between, where they are rows without a fault."""
        text = text and text.removesuffix(",")
        if not text or not self._are_good(text):
            return False
        self._cursor.pass_by(text)
        return True

    def _are_good(self, text: str) -> bool:
        try:
            rows = _ROWS.decode(f"[{text}]")
        except msgspec.DecodeError:
            return False
        width, known = len(self._shape.sensors), self._shape.known
        if any(not row.keys() <= known if isinstance(row, dict) else len(row) != width for row in rows):
            return False
        return text.count('"') == 2 * sum(len(row) for row in rows if isinstance(row, dict))

    def _row(self, pointer: str, token: str) -> None:
        width = len(self._shape.sensors)
        if token == "[":
            self._array_row(pointer, width)
        elif token == "{":
            self._object_row(pointer)
        else:
            expected = f"expected a row: an array of {width} numbers or an object by sensor name"
            self._fault("shape", pointer, expected)

    def _array_row(self, pointer: str, width: int) -> None:
        found = 0
        for index in self._cursor.items():
            if index == width:
                more = self._cursor.pass_rest_of_flat_array()
                if more is None:
                    self._stop("dimension-mismatch", pointer, f"expected {width} values, found more")
                found += 1 + more
                break
            self._value(f"{pointer}/{index}")
            found += 1
        if found != width:
            self._fault("dimension-mismatch", pointer, f"expected {width} values, found {found}")

    def _object_row(self, pointer: str) -> None:
        for name in self._cursor.names(pointer):
            here = below(pointer, name)
            if name in self._shape.known:
                self._value(here)
            else:
                self._fault("unknown-sensor", here, self._shape.unknown(name))
                self._pass_over(self._cursor.next())

    def _value(self, pointer: str) -> None:
        token = self._cursor.next()
        if token == "null":
            return
        if token in "[{":
            self._stop("shape", pointer, "expected a number or null, found one more level of nesting")
        if token[0] not in "-0123456789":
            self._fault("not-a-number", pointer, "expected a number, or null where the sensor is missing")
        elif abs(number(pointer, token)) >= FLOAT32_LIMIT:
            self._fault("number-out-of-range", pointer, "expected a number within float32's range, ±3.4028235e38")
