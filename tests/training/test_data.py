"""Files to readings, splits and sensors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.bundle import sha256
from app.errors import TableError
from training.data import MIN_ROWS, describe, read, split

RNG = np.random.default_rng(0)


def write(file: Path, header: str, x: np.ndarray) -> Path:
    file.write_text(
        "\n".join([header, *(",".join("" if np.isnan(v) else repr(float(v)) for v in row) for row in x), ""])
    )
    return file


def test_a_csv_becomes_readings(tmp_path: Path) -> None:
    """Values, names, units, the file's name and hash and what was detected are all there."""
    x = RNG.normal(size=(60, 3))
    file = write(tmp_path / "plant.csv", "temperature [°C],flow,valve [%]", x)

    readings = read(file, units={"flow": "m³/h", "valve": "1"})

    np.testing.assert_array_equal(readings.x, x)
    assert readings.names == ("temperature", "flow", "valve")
    assert readings.units == ("°C", "m³/h", "1")
    assert (readings.file, readings.sha256) == ("plant.csv", sha256(file))
    assert readings.notes == ("delimiter comma, decimal point",)


def test_a_decimal_mark_that_no_cell_proves_may_be_told(tmp_path: Path) -> None:
    """Three digits behind each comma: thousands or thousandths."""
    file = tmp_path / "plant.csv"
    file.write_text("\n".join(["a;b", *(f"{number},250;{number}" for number in range(1, 61)), ""]))

    with pytest.raises(TableError, match="has a decimal comma or a thousands separator"):
        read(file)
    readings = read(file, decimal="comma")

    np.testing.assert_array_equal(readings.x[:, 0], np.arange(1, 61) + 0.25)
    assert readings.notes[0] == "delimiter semicolon, decimal comma"


def test_columns_are_chosen_and_dropped_by_name(tmp_path: Path) -> None:
    """`columns` sets which and in which order, `drop` takes away; neither name carries its unit."""
    x = RNG.normal(size=(60, 3))
    file = write(tmp_path / "plant.csv", "a,b [bar],c", x)

    chosen = read(file, columns=["c", "b"])
    left = read(file, drop=["b"])

    np.testing.assert_array_equal(chosen.x, x[:, [2, 1]])
    assert (chosen.names, chosen.units) == (("c", "b"), (None, "bar"))
    np.testing.assert_array_equal(left.x, x[:, [0, 2]])


@pytest.mark.parametrize(
    "asked", [{"drop": ["temprature"]}, {"columns": ["temprature"]}, {"units": {"temprature": "K"}}]
)
def test_an_unknown_name_is_told_with_its_neighbours(tmp_path: Path, asked: dict[str, list[str]]) -> None:
    """A misspelt column is an error that names those which it may have meant."""
    file = write(tmp_path / "plant.csv", "temperature,flow", RNG.normal(size=(60, 2)))

    with pytest.raises(TableError, match="has no column 'temprature'; it has temperature, …"):
        read(file, **asked)


def test_a_clock_is_refused_as_text_and_noted_as_numbers(tmp_path: Path) -> None:
    """A timestamp gets its own hint, and a number that rises in every row a note."""
    rows = range(60)
    clock = tmp_path / "clock.csv"
    clock.write_text("\n".join(["time,epoch,a", *(f"2024-01-01 00:{row:02},{row},{row % 7}" for row in rows)]))

    with pytest.raises(TableError, match=r"line 2, column 'time': .* is a date or time; .* --drop 'time'$"):
        read(clock)
    note = "column 'epoch' rises in every row: leave it out with --drop if it is a clock or a row number"
    assert note in read(clock, drop=["time"]).notes


def test_rows_without_any_value_are_left_out_and_counted(tmp_path: Path) -> None:
    """A gap in a log is no reading; a row with one value is."""
    x = RNG.normal(size=(60, 2))
    x[[3, 5]] = np.nan
    x[7, 0] = np.nan

    readings = read(write(tmp_path / "plant.csv", "a,b", x))

    np.testing.assert_array_equal(readings.x, np.delete(x, [3, 5], axis=0))
    assert "2 rows without any value are left out" in readings.notes


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (
            RNG.normal(size=(MIN_ROWS - 1, 2)),
            f"{MIN_ROWS - 1} rows with values in 2 columns; expected at least {MIN_ROWS}",
        ),
        (RNG.normal(size=(60, 61)), "60 rows with values in 61 columns; expected at least 61 rows"),
        (np.column_stack([RNG.normal(size=60), np.full(60, np.nan)]), "column 'x1': no value in any row"),
        (np.full((60, 2), np.nan), "0 rows with values"),
        (np.full((60, 2), np.inf), "row 1, column 'x0': inf is beyond float32's range"),
        (np.zeros(60), "an array of shape (60,) and type float64; expected numbers as [rows, sensors]"),
        (np.zeros((60, 2), dtype=complex), "type complex128; expected numbers"),
    ],
)
def test_arrays_that_cannot_be_trained_on(tmp_path: Path, x: np.ndarray, message: str) -> None:
    """Too few rows, empty columns, infinities and other shapes are each refused with the numbers in question."""
    file = tmp_path / "plant.npy"
    np.save(file, x)

    with pytest.raises(TableError) as refusal:
        read(file)

    assert message in str(refusal.value)


def test_npy_and_npz_are_read_and_their_columns_numbered(tmp_path: Path) -> None:
    """A bare array has columns x0, x1, …; of several arrays the one called X, x or train is it."""
    x = RNG.normal(size=(60, 3)).astype(np.float32)
    np.save(tmp_path / "plain.npy", x)
    np.savez(tmp_path / "labelled.npz", X=x, y=np.zeros(60))
    np.savez(tmp_path / "parted.npz", test=x[:5], train=x)

    for name in ("plain.npy", "labelled.npz", "parted.npz"):
        readings = read(tmp_path / name, drop=["x1"])
        np.testing.assert_array_equal(readings.x, x[:, [0, 2]].astype(np.float64))
        assert readings.names == ("x0", "x2")


def test_npz_that_does_not_say_which(tmp_path: Path) -> None:
    """With two tables and no telling name, the error lists what is there."""
    np.savez(tmp_path / "two.npz", left=np.zeros((60, 2)), right=np.zeros((60, 3)))

    with pytest.raises(TableError, match=r"'left' \(60, 2\), 'right' \(60, 3\); expected one"):
        read(tmp_path / "two.npz")


@pytest.mark.parametrize("name", ["plant.npy", "plant.npz"])
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04 nothing"])
def test_what_is_no_array(tmp_path: Path, name: str, content: bytes) -> None:
    """A file that only has the suffix is refused in a sentence."""
    (tmp_path / name).write_bytes(content)

    with pytest.raises(TableError, match="not readable as an array of numbers"):
        read(tmp_path / name)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    """An array of objects would run code on loading: it is refused."""
    np.save(tmp_path / "plant.npy", np.array([[object()]]), allow_pickle=True)

    with pytest.raises(TableError, match="not readable as an array of numbers"):
        read(tmp_path / "plant.npy")


def test_two_columns_that_differ_in_their_units_only(tmp_path: Path) -> None:
    """One name for two columns is refused, since names are all that a client has."""
    file = write(tmp_path / "plant.csv", "a [bar],a [Pa]", RNG.normal(size=(60, 2)))

    with pytest.raises(TableError, match=r"'a \[bar\]' and 'a \[Pa\]' differ in their units only"):
        read(file)


@given(n=st.integers(4, 5000), seed=st.integers(0, 2**32), how=st.sampled_from(["random", "time"]))
def test_split_is_a_partition(n: int, seed: int, how: str) -> None:
    """Every row is in exactly one part, in ascending order, in the shares asked for."""
    parts = split(n, seed, how)

    together = np.concatenate([parts.train, parts.validation, parts.calibration])
    np.testing.assert_array_equal(np.sort(together), np.arange(n))
    for part, share in ((parts.train, 0.7), (parts.validation, 0.1), (parts.calibration, 0.2)):
        assert (np.diff(part) > 0).all()
        assert abs(len(part) - share * n) <= 1.5
    if how == "time":
        np.testing.assert_array_equal(together, np.arange(n))


def test_split_is_drawn_by_its_seed() -> None:
    """The same seed draws the same rows, another one others."""
    first, again, other = (split(1000, seed, "random").train for seed in (7, 7, 8))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_split_of_too_few_rows() -> None:
    """A part without rows is refused, with the numbers."""
    with pytest.raises(TableError, match="2 rows make 0 to train on, 1 to validate and 1 to calibrate"):
        split(2, 0, "time")


def test_describe_tells_the_moments_of_observed_values() -> None:
    """Moments and range are those of the values that are there, and the resolution is the smallest step among them."""
    x = np.array([[1.0], [1.1], [np.nan], [1.4], [1.1 + 1e-12]])

    (sensor,) = describe(x, ["a"], ["bar"])

    observed = np.delete(x[:, 0], 2)
    assert (sensor.name, sensor.unit, sensor.constant) == ("a", "bar", False)
    assert (sensor.mean, sensor.scale) == (pytest.approx(observed.mean()), pytest.approx(observed.std()))
    assert (sensor.min, sensor.max) == (1.0, 1.4)
    assert sensor.resolution == pytest.approx(0.1)


@given(
    ticks=st.lists(st.integers(-1000, 1000), min_size=2, max_size=50),
    factor=st.floats(1e-6, 1e6),
    offset=st.floats(-1e3, 1e3),
)
def test_describe_follows_the_unit(ticks: list[int], factor: float, offset: float) -> None:
    """x → c·x + e moves mean and range along and multiplies scale and resolution by c."""
    assume(len(set(ticks)) > 1)
    x = np.array(ticks, dtype=float)[:, None] / 8
    offset *= factor

    (before,) = describe(x, ["a"], [None])
    (after,) = describe(factor * x + offset, ["a"], [None])

    spread = factor * (before.max - before.min)
    assert after.mean == pytest.approx(factor * before.mean + offset, abs=1e-9 * spread)
    assert after.scale == pytest.approx(factor * before.scale, rel=1e-9)
    assert after.resolution == pytest.approx(factor * before.resolution, rel=1e-6)
    assert after.constant == before.constant


@given(value=st.floats(-3e38, 3e38))
def test_a_constant_sensor_has_its_value_for_mean(value: float) -> None:
    """A sensor that never moved keeps its value to the last bit, and a scale above zero."""
    (sensor,) = describe(np.array([[value], [np.nan], [value], [value]]), ["a"], [None])

    assert (sensor.mean, sensor.min, sensor.max) == (value, value, value)
    assert sensor.constant
    assert sensor.resolution == 0
    assert sensor.scale == max(0.01 * abs(value) or 0.01, np.finfo(float).tiny)


def test_a_sensor_that_moves_by_rounding_only_is_constant() -> None:
    """0.1 + 0.2 beside 0.3 is one value; a millionth more is two."""
    x = np.array([[0.3, 0.3], [0.1 + 0.2, 0.3000003]])

    assert [sensor.constant for sensor in describe(x, ["a", "b"], [None, None])] == [True, False]


@given(st.lists(st.floats(-3.4e38, 3.4e38), min_size=2, max_size=20))
def test_describe_holds_at_the_edge_of_the_range(values: list[float]) -> None:
    """No value that can be read overflows, underflows or gives a sensor that the manifest refuses."""
    (sensor,) = describe(np.array(values)[:, None], ["a"], [None])

    assert sensor.scale > 0
    assert sensor.constant or sensor.resolution > 0


def test_a_sensor_unseen_in_training_is_refused() -> None:
    """A sensor whose only values fell into other parts of the split cannot be described."""
    with pytest.raises(TableError, match="sensor 'a' has no value in the rows trained on"):
        describe(np.full((3, 1), np.nan), ["a"], [None])
