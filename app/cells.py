"""Text cells to numbers: what counts as a number, as missing and as a decimal mark, and what else a cell may be."""

import re
from typing import Literal

import numpy as np
import orjson

from app.array import Array

Decimal = Literal[".", ","]

FLOAT32_MAX = float(np.finfo(np.float32).max)
MISSING = frozenset({"", "nan", "na", "n/a", "null"})
"""Cells without a value, in lower case."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA_NUMBER = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?", re.ASCII)
_COMMA_OR_GROUP = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(([ ,.'_\u2019\u00a0\u202f])\d{3}(\2\d{3})*)([.,]\d*)?", re.ASCII)
_DATE_OR_TIME = re.compile(r"(\d{1,4}([-/.])\d{1,2}\2\d{1,4}|\d{1,2}:\d{2})([T ,:].*)?", re.ASCII)
_SIGNED_NAN = re.compile(r"[+-]nan", re.IGNORECASE)
_PLAIN = frozenset("0123456789+-.eE ")


def to_numbers(cells: list[str], decimal: Decimal) -> Array:
    """[n] float64: NaN where a value is missing, infinite where the cell is no number that a double can hold.

    Python's float() alone would take "1_000", "inf" and digits of any script, so the characters are looked at first.
    """
    if decimal == ",":
        cells = [cell.replace(",", ".") for cell in cells]
    if _PLAIN.issuperset("".join(cells)):
        try:
            return np.array([float(cell) for cell in cells], dtype=np.float64)
        except ValueError:
            pass  # an empty cell, or one such as "1-2": one by one, then
    return np.array([_to_number(cell.strip()) for cell in cells], dtype=np.float64)


def read_plain(records: list[str], delimiter: str, columns: list[int], decimal: Decimal) -> Array | None:
    """The numbers of plain records by their columns, [n, D]; None where one is not plain, or holds no such number.

    numpy's reader is much faster than reading cells one by one, but knows neither quotes nor what is missing.
    """
    text = "\n".join(records)
    if '"' in text or delimiter == " " or (decimal == "," and (delimiter == "," or "." in text)):
        return None
    x = _load(records if decimal == "." else text.replace(",", ".").split("\n"), delimiter, columns)
    if x is None:
        text = _with_nan(text if decimal == "." else text.replace(",", "."), delimiter)
        x = _load(text.split("\n"), delimiter, columns)
    # numpy passes over empty lines, and knows a "-nan".
    if x is None or len(x) != len(records) or (np.isnan(x).any() and _SIGNED_NAN.search(text)):
        return None
    return None if (np.abs(x) > FLOAT32_MAX).any() else x


def to_texts(values: Array) -> list[str]:
    """What repr() writes of each value [n]: faster than it, where orjson writes the same."""
    if not len(values):
        return []
    texts = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")
    size = np.abs(values)
    for other in np.flatnonzero(~((size >= 1e-4) & (size < 1e16))).tolist():
        texts[other] = repr(float(values[other]))
    return texts


def is_number(cell: str) -> bool:
    """Whether a cell reads as a number, under either decimal mark."""
    return NUMBER.fullmatch(cell.strip().replace(",", ".")) is not None


def decimal_mark(cell: str) -> Literal[".", ",", "either", ""]:
    """The decimal mark that a cell shows; "either" where its comma may as well separate thousands, as in 1,234."""
    cell = cell.strip()
    if "," in cell:
        if _COMMA_OR_GROUP.fullmatch(cell):
            return "either"
        return "," if _COMMA_NUMBER.fullmatch(cell) else ""
    return "." if "." in cell and NUMBER.fullmatch(cell) else ""


def complaint(cell: str, decimal: Decimal) -> str:
    """Why a cell is not a sensor reading and what was expected; it ends where "leave the column out" may follow."""
    text = cell.strip()
    number = (
        f"a number with a decimal {'comma' if decimal == ',' else 'point'}, or an empty cell where a value is missing"
    )
    if text.lower().lstrip("+-") in {"inf", "infinity"}:
        return f"{_quoted(text)} is not finite; expected {number}"
    if NUMBER.fullmatch(text.replace(",", ".") if decimal == "," else text):
        return f"{_quoted(text)} is beyond float32's range; expected at most ±{FLOAT32_MAX:.3g}"
    if _DATE_OR_TIME.fullmatch(text):
        return f"{_quoted(text)} is a date or time; expected {number}"
    if _GROUPED.fullmatch(text):
        return f"{_quoted(text)} has thousands separators; expected {number}, and no other mark"
    return f"{_quoted(text)} is not a number; expected {number}"


def _to_number(cell: str) -> float:
    if cell.lower() in MISSING:
        return np.nan
    return float(cell) if NUMBER.fullmatch(cell) else np.inf


def _load(lines: list[str], delimiter: str, columns: list[int]) -> Array | None:
    try:
        return np.loadtxt(lines, delimiter=delimiter, comments=None, usecols=columns, ndmin=2)
    except ValueError:
        return None


def _with_nan(text: str, delimiter: str) -> str:
    """The same lines with "nan" in their empty cells."""
    for _ in range(2):  # of three delimiters in a row the first two are found first, then the last two
        text = text.replace(f"{delimiter}{delimiter}", f"{delimiter}nan{delimiter}")
    text = text.replace(f"{delimiter}\n", f"{delimiter}nan\n").replace(f"\n{delimiter}", f"\nnan{delimiter}")
    start, end = ("nan" if text.startswith(delimiter) else ""), ("nan" if text.endswith(delimiter) else "")
    return f"{start}{text}{end}"


def _quoted(text: str) -> str:
    return f"'{text}'" if len(text) <= 40 else f"'{text[:40]}…'"
