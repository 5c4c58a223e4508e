"""Tables as plants, historians and spreadsheets leave them behind: read rightly, or refused in one clear line."""

import bz2
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.errors import TableError
from tests.nobody import as_nobody
from training.__main__ import main
from training.data import read

X = np.random.default_rng(0).standard_normal((60, 2)).round(4)
COUNT = "expected at least 50 rows: 50, or as many as columns where that is more"
NUMBER = "expected a number with a decimal point, or an empty cell where a value is missing"
DROP_A = "; leave the column out with --drop 'a'"


def written(delimiter: str = ",", end: str = "\n", mark: str = ".", header: str = "a,b") -> str:
    """The 60 readings as text."""
    lines = [header.replace(",", delimiter), *(delimiter.join(map(str, row)).replace(".", mark) for row in X.tolist())]
    return end.join([*lines, ""])


LINES = written().splitlines()


def with_line(number: int, text: str) -> str:
    """The readings with another line in the place of one, counted from 1."""
    return "\n".join([*LINES[: number - 1], text, *LINES[number:], ""])


def archive() -> bytes:
    """The readings in a ZIP archive, which a workbook is too."""
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as opened:
        opened.writestr("plant.csv", written())
    return packed.getvalue()


WITH_HOLE = X.copy()
WITH_HOLE[8, 0] = np.nan

READ = {
    "semicolons": (written(";"), X, "delimiter semicolon, decimal point"),
    "tabs": (written("\t"), X, "delimiter tab, decimal point"),
    "decimal commas": (written(";", mark=","), X, "delimiter semicolon, decimal comma"),
    "a byte order mark": ("\ufeff" + written(), X, "delimiter comma, decimal point"),
    "CRLF": (written(end="\r\n"), X, "delimiter comma, decimal point"),
    "CR only": (written(end="\r"), X, "delimiter comma, decimal point"),
    "a line end in a quoted name": (written(header='a,"b\nc"'), X, "delimiter comma, decimal point"),
    "quotes around everything": (
        "\n".join([*('"{}"'.format(line.replace(",", '","')) for line in LINES), ""]),
        X,
        "delimiter comma, decimal point",
    ),
    "a NaN in words": (with_line(10, f"NaN,{X[8, 1]}"), WITH_HOLE, "delimiter comma, decimal point"),
    "N/A": (with_line(10, f"N/A,{X[8, 1]}"), WITH_HOLE, "delimiter comma, decimal point"),
    "a row of nothing": (with_line(10, ","), np.delete(X, 8, axis=0), "1 rows without any value are left out"),
    "no line end at the end": (
        written().rstrip("\n"),
        X,
        "the last line has no line end: was the file cut short, its last value may be too",
    ),
}

REFUSED: dict[str, tuple[str | bytes, str]] = {
    "decimal commas between delimiting ones": (
        written(mark=","),
        "line 2: 4 cells; expected 2 as in the header (line 1), delimiter comma; a decimal comma beside a delimiting "
        "comma needs quotes",
    ),
    "UTF-16": (written().encode("utf-16"), "line 1: encoded as UTF-16; expected delimited text in UTF-8"),
    "UTF-32": (written().encode("utf-32"), "line 1: encoded as UTF-32; expected delimited text in UTF-8"),
    "UTF-16 without a mark": (written().encode("utf-16-le"), "line 1: a NUL byte; expected delimited text"),
    "Latin-1": (
        written(header="a [\xb0C],b").encode("latin-1"),
        "line 1: byte 0xb0 is not UTF-8; expected UTF-8 text",
    ),
    "a short line": (
        with_line(31, "1"),
        "line 31: 1 cells; expected 2 as in the header (line 1), delimiter comma",
    ),
    "a long line": (
        with_line(31, "1,2,3"),
        "line 31: 3 cells; expected 2 as in the header (line 1), delimiter comma",
    ),
    "delimiters at the ends of rows": (
        "\n".join([LINES[0], *(f"{line}," for line in LINES[1:]), ""]),
        "line 2: 3 cells; expected 2 as in the header (line 1), delimiter comma",
    ),
    "delimiters at the ends of lines": (
        "\n".join([*(f"{line}," for line in LINES), ""]),
        "line 1, column 3: no name; expected one for each of the 3 columns",
    ),
    "other delimiters further down": (
        with_line(40, "1;2"),
        "line 40: 1 cells; expected 2 as in the header (line 1), delimiter comma",
    ),
    "a name twice": (with_line(1, "a,a"), "line 1, column 2: 'a' is the name of column 1 too; expected two names"),
    "no name": (with_line(1, "a,"), "line 1, column 2: no name; expected one for each of the 2 columns"),
    "no header": (
        "\n".join(LINES[1:]),
        "line 1: only numbers; expected a header line with the sensors' names",
    ),
    "units below the names": (
        "\n".join([LINES[0], "[bar],[K]", *LINES[1:]]),
        f"line 2, column 'a': '[bar]' is not a number; {NUMBER}{DROP_A}",
    ),
    "a comment above": (
        "# exported by the historian\n" + written(),
        "line 1: a comment; expected a header line and rows of numbers only",
    ),
    "a comment between": (
        with_line(20, "# pause"),
        "line 20: a comment; expected a header line and rows of numbers only",
    ),
    "Excel's line above": (
        "sep=,\n" + written(),
        "line 1: 'sep=' is for Excel; expected the header line with the sensors' names",
    ),
    "a blank line": (with_line(20, ""), "line 20: a blank line; expected blank lines at the end only"),
    "thousands separators": (
        with_line(10, '"1,234.5",2'),
        f"line 10, column 'a': '1,234.5' has thousands separators; {NUMBER}, and no other mark{DROP_A}",
    ),
    "a blank that separates thousands": (
        with_line(10, "1\u00a0234,2"),
        f"line 10, column 'a': '1\\xa0234' has thousands separators; {NUMBER}, and no other mark{DROP_A}",
    ),
    "a word": (
        with_line(10, "1,open"),
        f"line 10, column 'b': 'open' is not a number; {NUMBER}; leave the column out with --drop 'b'",
    ),
    "a word in two lines": (
        with_line(10, '"not\nyet",2'),
        f"line 10, column 'a': 'not\\nyet' is not a number; {NUMBER}{DROP_A}",
    ),
    "a word that would colour the terminal": (
        with_line(10, "\x1b[31mred,2"),
        f"line 10, column 'a': '\\x1b[31mred' is not a number; {NUMBER}{DROP_A}",
    ),
    "a very long word": (
        with_line(10, "x" * 5000 + ",2"),
        f"line 10, column 'a': '{'x' * 40}…' is not a number; {NUMBER}{DROP_A}",
    ),
    "a unit in a cell": (
        with_line(10, "1.5 bar,2"),
        f"line 10, column 'a': '1.5 bar' is not a number; {NUMBER}{DROP_A}",
    ),
    "Excel's missing value": (
        with_line(10, "#N/A,2"),
        f"line 10, column 'a': '#N/A' is not a number; {NUMBER}{DROP_A}",
    ),
    "Excel's division": (
        with_line(10, "#DIV/0!,2"),
        f"line 10, column 'a': '#DIV/0!' is not a number; {NUMBER}{DROP_A}",
    ),
    "a date": (with_line(10, "2024-01-01,2"), f"line 10, column 'a': '2024-01-01' is a date or time; {NUMBER}{DROP_A}"),
    "infinity": (with_line(10, "-Infinity,2"), f"line 10, column 'a': '-Infinity' is not finite; {NUMBER}{DROP_A}"),
    "1e400": (
        with_line(10, "1e400,2"),
        f"line 10, column 'a': '1e400' is beyond float32's range; expected at most ±3.4e+38{DROP_A}",
    ),
    "a quote that stays open": (
        with_line(10, '"1,2'),
        'line 10: a quoted cell that does not end: expected a closing " (unexpected end of data)',
    ),
    "NUL bytes": (with_line(10, "1\0,2"), "line 10: a NUL byte; expected delimited text"),
    "an empty file": ("", "the file is empty; expected a header line and rows of numbers"),
    "a header only": ("a,b\n", "a header and no row below it; expected rows of numbers"),
    "one row": ("a,b\n1,2\n", f"1 rows with values in 2 columns; {COUNT}"),
    "fewer rows than columns": (
        "\n".join([",".join(f"c{d}" for d in range(61)), *[",".join(map(str, range(61)))] * 60]),
        "60 rows with values in 61 columns; expected at least 61 rows: 50, or as many as columns where that is more",
    ),
    "a column without a value": (
        "\n".join(["a,b", *(f",{row}" for row in range(60)), ""]),
        "column 'a': no value in any row; leave it out with --drop 'a'",
    ),
    "cut short within a line": (
        written()[: written().rindex(",")],
        "line 61: 1 cells; expected 2 as in the header (line 1), delimiter comma",
    ),
    "gzip": (gzip.compress(written().encode()), "line 1: compressed by gzip; expected delimited text in UTF-8"),
    "bzip2": (bz2.compress(written().encode()), "line 1: compressed by bzip2; expected delimited text in UTF-8"),
    "xz": (lzma.compress(written().encode()), "line 1: compressed by xz; expected delimited text in UTF-8"),
    "a workbook": (archive(), "line 1: a ZIP archive or a workbook; expected delimited text in UTF-8"),
    "anything": (bytes(range(256)) * 40, "line 3: byte 0x80 is not UTF-8; expected UTF-8 text"),
}


@pytest.mark.parametrize(("content", "x", "note"), READ.values(), ids=READ)
def test_what_is_odd_but_plain_is_read(content: str, x: np.ndarray, note: str, tmp_path: Path) -> None:
    """The numbers are those that were meant, and what was decided about them is told."""
    file = tmp_path / "plant.csv"
    file.write_bytes(content.encode())

    readings = read(file)

    np.testing.assert_array_equal(readings.x, x)
    assert note in readings.notes


def refusal(file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `nelbo-train` says of a file that it does not train on: one line behind the file's name."""
    out = file.parent / "models"

    assert main([str(file), "--name", "plant", "--out", str(out)]) == 1

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not out.exists()
    before = f"nelbo-train: {file}"
    assert said.startswith(before)
    return said[len(before) :].lstrip(",: ").rstrip("\n")


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_plain_is_refused_in_a_line(
    content: str | bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1; the line names the file, the place, what was found and what was expected; nothing is left behind."""
    file = tmp_path / "plant.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)

    assert refusal(file, capsys) == message


def test_sensors_that_never_move_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One value in every column leaves no density to fit."""
    file = tmp_path / "plant.csv"
    file.write_text("a,b\n" + "1,2\n" * 60, encoding="utf-8")

    assert main([str(file), "--name", "plant", "--out", str(tmp_path / "models")]) == 1

    expected = "every sensor has one value only in the rows trained on; there is no density to fit\n"
    assert capsys.readouterr().err == f"nelbo-train: plant.csv: {expected}"
    assert not (tmp_path / "models" / "plant").exists()


def nested(file: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([[1, 2]] * 60), "b": X[:, 0]}), file)


def cut_parquet(file: Path) -> None:
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1]}), file)
    file.write_bytes(file.read_bytes()[:-30])


def pickled(file: Path) -> None:
    np.save(file, np.array([[object()]]), allow_pickle=True)


def cut_array(file: Path) -> None:
    np.save(file, X)
    file.write_bytes(file.read_bytes()[:-100])


def boastful_array(file: Path) -> None:
    """A header that promises more than any memory holds."""
    np.save(file, X)
    file.write_bytes(file.read_bytes().replace(b"(60, 2), }         ", b"(9999999999, 99), }", 1))


def damaged_archive(file: Path) -> None:
    np.savez_compressed(file, X=X)
    content = bytearray(file.read_bytes())
    content[200:260] = bytes(60)
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("plant.parquet", nested, "column 'a': of type list<element: int64>; expected numbers" + DROP_A),
        ("plant.parquet", cut_parquet, "not readable as Parquet"),
        ("plant.parquet", Path.mkdir, "a folder; expected a plain file"),
        ("plant.npy", pickled, "not readable as an array of numbers: Object arrays cannot be loaded"),
        ("plant.npy", cut_array, "not readable as an array of numbers"),
        ("plant.npy", boastful_array, "not readable as an array of numbers"),
        ("plant.npz", damaged_archive, "not readable as an array of numbers"),
        ("plant.csv", nested, "line 1: Parquet, whose name ends with .parquet; expected delimited text in UTF-8"),
        ("plant.csv", Path.mkdir, "a folder; expected a plain file, to be read for its numbers and again for its hash"),
        ("plant.csv", os.mkfifo, "a pipe or a device; expected a plain file"),
        ("plant.csv", lambda file: file.symlink_to("/dev/zero"), "a pipe or a device; expected a plain file"),
        ("plant.csv", lambda file: file.symlink_to("nowhere"), "No such file or directory"),
    ],
)
def test_other_files_are_refused_in_a_line(
    name: str, make: object, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no table, is damaged, would run code or never ends: none is waited for, and none is believed."""
    assert callable(make)
    make(tmp_path / name)

    assert refusal(tmp_path / name, capsys).startswith(message)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """The system's own word for it."""
    file = tmp_path / "plant.csv"
    file.write_text(written(), encoding="utf-8")
    file.chmod(0)

    with as_nobody(), pytest.raises(TableError, match=r"plant\.csv: Permission denied$"):
        read(file)
