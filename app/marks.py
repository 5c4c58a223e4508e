"""Which decimal mark a table's columns are written with: a point, unless commas prove otherwise."""

from collections.abc import Mapping
from typing import Literal

from app.cells import Decimal
from app.errors import TableError

Seen = Mapping[str, str]
"""Where each mark, "." or "," or "either", is met first, as a place and its cell; "either" may separate thousands."""


Told = Literal["point", "comma"]
"""What somebody says that the mark is."""


def as_told(decimal: Told | None) -> Seen:
    """A mark that was told, as if it had been seen; none where nothing was."""
    return {} if decimal is None else {"," if decimal == "comma" else ".": f"decimal = {decimal}"}


def decide(seen: Seen) -> Decimal:
    """The decimal mark of a table in which these were seen.

    Raises:
        TableError: both marks are in use, or every comma may as well separate thousands.
    """
    comma = seen.get(",", seen.get("either"))
    if comma is None:
        return "."
    if "." in seen:
        raise TableError(f"{comma} has a comma, but {seen['.']} a point; expected one decimal mark")
    if "," not in seen:
        raise TableError(
            f"{comma} has a decimal comma or a thousands separator, and no other cell tells which; "
            "expected decimal points and no thousands separators, or --decimal comma"
        )
    return ","


def proved(seen: Seen) -> bool:
    """Whether one cell is enough to know the mark by."""
    return "." in seen or "," in seen
