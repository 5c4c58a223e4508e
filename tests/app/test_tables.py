"""Text and Parquet tables: what is read, and what is refused with which words."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import TableError
from app.tables import CHUNK, TextTable, read_table, split_unit

NAN = float("nan")

READ = {
    "comma": (b"a,b\n1,2\n3,4\n", [[1, 2], [3, 4]]),
    "semicolon": (b"a;b\n1.5;2\n", [[1.5, 2]]),
    "tab": (b"a\tb\n1\t2\n", [[1, 2]]),
    "bar": (b"a|b\n1|2\n", [[1, 2]]),
    "whitespace": (b"  a   b\n  1.0e+00   -2.5\n .5\t3\n", [[1, -2.5], [0.5, 3]]),
    "one column": (b"a\n1\n2\n", [[1], [2]]),
    "one column whose name has a blank": (b"ambient temperature\n1\n2\n", [[1], [2]]),
    "decimal comma": (b"a;b\n1,5;2\n0,25;-3,125e2\n", [[1.5, 2], [0.25, -312.5]]),
    "decimal comma in tabs": (b"T, in\tT, out\n1,5\t2,5\n", [[1.5, 2.5]]),
    "decimal comma in quotes": (b'a,b\n"1,5","2,25"\n', [[1.5, 2.25]]),
    "one column of decimal commas in quotes": (b'a\n"1,5"\n"2,25"\n', [[1.5], [2.25]]),
    "decimal comma of three digits, proved by a zero": (b"a;b\n1,250;0,125\n", [[1.25, 0.125]]),
    "missing": (b"a,b\n,NaN\nNA,n/a\nnull, \n1,2\n", [[NAN, NAN], [NAN, NAN], [NAN, NAN], [1, 2]]),
    "byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", [[1, 2]]),
    "CRLF": (b"a,b\r\n1,2\r\n3,4\r\n", [[1, 2], [3, 4]]),
    "CR": (b"a,b\r1,2\r", [[1, 2]]),
    "no line end at the end": (b"a,b\n1,2", [[1, 2]]),
    "blank lines at the end": (b"a,b\n1,2\n\n  \n", [[1, 2]]),
    "blanks around cells": (b"a, b\n 1 , 2 \n", [[1, 2]]),
    "quotes": (b'"a","b; c"\n"1","2"\n', [[1, 2]]),
    "the edge of float32": (b"a,b\n3.4028234e38,-3.4028234e38\n", [[3.4028234e38, -3.4028234e38]]),
}

REFUSED = {
    "empty file": (b"", "the file is empty; expected a header line"),
    "blank file": (b"\n \n", "the file is empty"),
    "header only": (b"a,b\n", "a header and no row below it"),
    "no header": (b"1.5,2\n3,4\n", "line 1: only numbers; expected a header line"),
    "no header, decimal commas": (b"1,5;2\n3;4\n", "line 1: only numbers; expected a header line"),
    "ragged, short": (b"a,b,c\n1,2,3\n4,5\n", "line 3: 2 cells; expected 3 as in the header (line 1), delimiter comma"),
    "ragged, long": (b"a,b\n1,2\n4,5,6\n", "line 3: 3 cells; expected 2"),
    "ragged below the sample": (b"a,b\n" + b"1,2\n" * 200 + b"3\n", "line 202: 1 cells; expected 2"),
    "delimiter only below the header": (
        b"a\n1;2\n",
        "line 2: 2 cells by the delimiter semicolon, but the header (line 1)",
    ),
    "decimal comma without quotes": (b"a,b\n1,5,2,5\n", "a decimal comma beside a delimiting comma needs quotes"),
    "other delimiter below the sample": (
        b"a\n" + b"1\n" * 200 + b"2;3\n",
        "line 202, column 'a': '2;3' is not a number",
    ),
    "duplicated name": (b"a,b,a\n1,2,3\n", "line 1, column 3: 'a' is the name of column 1 too; expected two names"),
    "nameless column": (b"a,,c\n1,2,3\n", "line 1, column 2: no name; expected one for each of the 3 columns"),
    "words": (
        b"a,b\n1,2\n3,open\n",
        "line 3, column 'b': 'open' is not a number; expected a number with a decimal point",
    ),
    "two numbers in a cell": (b"a,b\n1,2 3\n", "line 2, column 'b': '2 3' is not a number"),
    "underscore": (b"a,b\n1,1_000\n", "line 2, column 'b': '1_000' has thousands separators"),
    "inf": (b"a,b\n1,inf\n", "line 2, column 'b': 'inf' is not finite; expected a number"),
    "-Infinity": (b"a,b\n1,-Infinity\n", "'-Infinity' is not finite"),
    "1e400": (b"a,b\n1,2\n1e400,2\n", "line 3, column 'a': '1e400' is beyond float32's range; expected at most"),
    "1e39": (b"a,b\n1,-1e39\n", "line 2, column 'b': '-1e39' is beyond float32's range"),
    "other digits": ("a,b\n1,\u0661\n".encode(), "is not a number"),
    "date": (b"time,b\n2024-01-01,2\n", "line 2, column 'time': '2024-01-01' is a date or time"),
    "date and time": (b"time;b\n01.02.2024 00:15;2\n", "'01.02.2024 00:15' is a date or time"),
    "time": (b"time,b\n00:15:30.5,2\n", "'00:15:30.5' is a date or time"),
    "thousands points": (b"a;b\n1.234,5;2,5\n", "line 2, column 'a': '1.234,5' has thousands separators"),
    "thousands commas": (b'a,b\n"1,234,567.5",2\n', "'1,234,567.5' has thousands separators"),
    "thousands blanks": (b"a;b\n1 234;2\n", "'1 234' has thousands separators"),
    "comma that may be either": (b"a;b\n1,234;2\n", "line 2, column 'a': '1,234' has a decimal comma or a thousands"),
    "comma and point": (b"a;b\n1,5;2\n3;4.5\n", "'1,5' has a comma, but"),
    "blank line": (b"a,b\n1,2\n\n3,4\n", "line 3: a blank line; expected blank lines at the end only"),
    "NUL": (b"a,b\n1,2\n\x00,3\n", "line 3: a NUL byte; expected delimited text"),
    "Latin-1": (b"a,b [\xb0C]\n1,2\n", "line 1: byte 0xb0 is not UTF-8"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "line 1: encoded as UTF-16; expected delimited text in UTF-8"),
    "open quote": (b'a,b\n1,2\n"3,4\n5,6\n', "line 3: a quoted cell that does not end"),
    "text behind a quote": (b'a,b\n1,2\n"3"x,4\n', "line 3: a quoted cell that does not end"),
}


def table(tmp_path: Path, content: bytes) -> TextTable:
    file = tmp_path / "plant.csv"
    file.write_bytes(content)
    read = read_table(file)
    assert isinstance(read, TextTable)
    return read


def numbers(tmp_path: Path, content: bytes) -> np.ndarray:
    read = table(tmp_path, content)
    return read.numbers(read.names)


@pytest.mark.parametrize(("content", "expected"), READ.values(), ids=READ)
def test_reads(tmp_path: Path, content: bytes, expected: list[list[float]]) -> None:
    """A plain table is read whatever its delimiter, decimal mark and line ends, with NaN where a value is missing."""
    np.testing.assert_array_equal(numbers(tmp_path, content), np.array(expected, dtype=float))


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses(tmp_path: Path, content: bytes, message: str) -> None:
    """What is not plainly a table of numbers is refused, naming the file, the line, what was found and expected."""
    with pytest.raises(TableError) as refusal:
        numbers(tmp_path, content)

    assert str(refusal.value).startswith(str(tmp_path / "plant.csv"))
    assert message in str(refusal.value)


def test_the_dialect_is_told(tmp_path: Path) -> None:
    """What was detected can be shown to the person who trains."""
    read = table(tmp_path, b"a;b\n1,5;2\n")

    assert read.describe(read.names) == "delimiter semicolon, decimal comma"


def test_a_column_that_is_not_asked_for_may_hold_anything(tmp_path: Path) -> None:
    """Only the columns asked for must hold numbers, and only they decide what the decimal mark is."""
    read = table(tmp_path, b"time;version;a\n2024-01-01;1.2;1,5\n2024-01-02;1.2;2,5\n")

    assert read.numbers(["a"]).tolist() == [[1.5], [2.5]]


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    """The matrix has the caller's order, not the file's."""
    assert table(tmp_path, b"a,b,c\n1,2,3\n").numbers(["c", "a"]).tolist() == [[3, 1]]


def test_the_flag_that_leaves_a_column_out_is_told(tmp_path: Path) -> None:
    """Who can leave a column out is told how."""
    read = table(tmp_path, b"time,a\n2024-01-01 00:00,2\n")

    with pytest.raises(TableError, match=r"is a date or time.*; leave the column out with --drop 'time'$"):
        read.numbers(read.names, drop_flag="--drop")


def test_lines_are_counted_through_quoted_line_ends(tmp_path: Path) -> None:
    """An error names the line of the file, also where a quoted cell takes several."""
    read = table(tmp_path, b'a,note\n1,"first\nsecond"\nx,plain\n')

    with pytest.raises(TableError, match="line 4, column 'a': 'x' is not a number"):
        read.numbers(["a"])


def test_rows_keep_their_place_across_chunks(tmp_path: Path) -> None:
    """Cells are read in chunks; rows and line numbers do not notice."""
    lines = [f"{row},{-row}" for row in range(2 * CHUNK + 3)]
    read = table(tmp_path, "\n".join(["a,b", *lines]).encode())

    assert read.numbers(["b", "a"])[:, 1].tolist() == list(range(2 * CHUNK + 3))
    lines[CHUNK + 7] = "x,1"
    with pytest.raises(TableError, match=f"line {CHUNK + 9}, column 'a'"):
        table(tmp_path, "\n".join(["a,b", *lines]).encode()).numbers(["a"])


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.parquet"])
def test_no_file(name: str, tmp_path: Path) -> None:
    """A file that is not there is one plain sentence."""
    with pytest.raises(TableError, match=rf"{name}: No such file or directory$"):
        read_table(tmp_path / name)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("a", ("a", None)),
        ("a [°C]", ("a", "°C")),
        ("a[m³/h]", ("a", "m³/h")),
        ("XMEAS(1) [ kPa ]", ("XMEAS(1)", "kPa")),
        ("a []", ("a", None)),
        ("a [x] b", ("a [x] b", None)),
        ("[bar]", ("[bar]", None)),
    ],
)
def test_units_are_in_brackets_at_the_end(header: str, expected: tuple[str, str | None]) -> None:
    """`name [unit]` is a name and a unit; anything else is a name."""
    assert split_unit(header) == expected


@given(st.lists(st.lists(st.floats(-3e38, 3e38) | st.none(), min_size=2, max_size=2), min_size=1, max_size=20))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[list[float | None]]) -> None:
    """Every double, written in full, comes back as itself, with either decimal mark."""
    expected = np.array(rows, dtype=float)
    for delimiter, mark in ((",", "."), (";", ","), ("\t", ",")):
        lines = [delimiter.join("" if v is None else repr(v).replace(".", mark) for v in row) for row in rows]
        file = tmp_path_factory.getbasetemp() / "written.csv"
        # the row of thirds proves the mark, which numbers such as 1,234 leave open
        file.write_text("\n".join([delimiter.join("ab"), *lines, delimiter.join([f"0{mark}333"] * 2)]) + "\n")

        np.testing.assert_array_equal(read_table(file).numbers(["a", "b"])[:-1], expected)


def parquet(tmp_path: Path, **columns: object) -> Path:
    file = tmp_path / "plant.parquet"
    pq.write_table(pa.table(columns), file)
    return file


def test_parquet(tmp_path: Path) -> None:
    """Integers, floats and nulls of a Parquet file are read as doubles; a column of nothing else has the type null."""
    a, b = pa.array([1, None], pa.int32()), pa.array([NAN, 0.5], pa.float32())
    file = parquet(tmp_path, a=a, b=b, t=["x", "y"], gone=pa.nulls(2))

    np.testing.assert_array_equal(read_table(file).numbers(["b", "a", "gone"]), [[NAN, 1, NAN], [0.5, NAN, NAN]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array(["1"]), "column 'a': of type string; expected numbers; leave the column out with --drop 'a'"),
        (pa.array([0], pa.timestamp("s")), "column 'a': a date or time; expected numbers"),
        (pa.array([True]), "column 'a': of type bool; expected numbers"),
        (pa.array([float("inf")]), "row 1, column 'a': inf is beyond float32's range"),
        (pa.array([], pa.float64()), "no row; expected rows of numbers"),
    ],
)
def test_parquet_refuses(tmp_path: Path, values: pa.Array, message: str) -> None:
    """A Parquet column must hold numbers that the model can hold."""
    with pytest.raises(TableError) as refusal:
        read_table(parquet(tmp_path, a=values)).numbers(["a"], drop_flag="--drop")

    assert message in str(refusal.value)


def test_parquet_that_is_none(tmp_path: Path) -> None:
    """A file that only has the suffix is refused."""
    file = tmp_path / "plant.parquet"
    file.write_text("a,b\n1,2\n")

    with pytest.raises(TableError, match="not readable as Parquet"):
        read_table(file)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the answer says which extra it takes."""
    file = parquet(tmp_path, a=[1.0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(TableError, match=r"pip install 'nelbo\[tables\]'"):
        read_table(file)
