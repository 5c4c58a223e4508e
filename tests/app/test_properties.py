"""What holds for every question, whatever its rows and options: asked of two running applications."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.main import create_app
from app.schemas import FLOAT32_MAX
from app.settings import Settings
from tests.app.asgi import Asked, running
from tests.conftest import PLANT_NAMES

extremes = st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 1.84e19, -1e20, 3e38, FLOAT32_MAX, -FLOAT32_MAX])
readings = st.none() | extremes | st.floats(-FLOAT32_MAX, FLOAT32_MAX) | st.floats(-2000, 2000)
array_rows = st.lists(readings, min_size=4, max_size=4)
rows = array_rows | st.dictionaries(st.sampled_from(PLANT_NAMES), readings)
batches = st.lists(rows, min_size=1, max_size=9)
seeds = st.integers(0, 2**63 - 1)
bounds = st.fixed_dictionaries({"draws": st.integers(1, 40), "seed": seeds})
options = st.fixed_dictionaries(
    {},
    optional={
        "explain": st.booleans(),
        "fdr": st.floats(5e-324, 0.5),
        "false_alarm_rate": st.floats(0.001, 0.5),
        "bound": bounds,
    },
)
samples = st.fixed_dictionaries({"seed": seeds}, optional={"count": st.integers(1, 300), "given": rows})
few = hypothesis_settings(deadline=None, max_examples=60)


@pytest.fixture(scope="module")
def asked(settings: Settings) -> Iterator[Asked]:
    with running(create_app(settings)) as asked:
        yield asked


@pytest.fixture(scope="module")
def other(settings: Settings) -> Iterator[Asked]:
    """A second application, which shares nothing with the first."""
    with running(create_app(settings)) as other:
        yield other


def answer(asked: Asked, verb: str, question: dict[str, Any]) -> dict[str, Any]:
    """A whole answer, in which nothing stands for a number that is not finite."""
    response = asked.post(f"/{verb}", json.dumps(question).encode(), content_type="application/json")
    assert response.status == 200, response.content
    assert b"null" not in response.content
    read: dict[str, Any] = json.loads(response.content, parse_constant=float)
    assert all(abs(value) < float("inf") for value in numbers(read))
    return read


def numbers(value: object) -> Iterator[float]:
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, dict):
        yield from numbers(list(value.values()))
    elif isinstance(value, int | float):
        yield value


@few
@given(batch=batches, told=options)
def test_every_accepted_row_has_a_finite_answer(asked: Asked, batch: list[Any], told: dict[str, Any]) -> None:
    """At each verb, with every option, out to both ends of float32."""
    answer(asked, "score", {"rows": batch, **told})
    answer(asked, "encode", {"rows": batch})
    answer(asked, "reconstruct", {"rows": batch})
    for row in batch:
        answer(asked, "sample", {"given": row, "seed": 1, "count": 2})


@few
@given(batch=batches, data=st.data(), told=options)
def test_a_row_has_the_same_answer_in_every_batch(
    asked: Asked, batch: list[Any], data: st.DataObject, told: dict[str, Any]
) -> None:
    """To the bit, however a batch is cut or put in another order; discoveries are those of a batch."""
    told.pop("fdr", None)
    order = data.draw(st.permutations(range(len(batch))))
    cut = data.draw(st.integers(0, len(batch)))
    for verb, question in (("score", told), ("encode", {}), ("reconstruct", {})):
        whole = answer(asked, verb, {"rows": batch, **question})
        parts = [[batch[index] for index in part] for part in (order[:cut], order[cut:]) if part]
        answers = [answer(asked, verb, {"rows": part, **question}) for part in parts]
        for name, values in whole.items():
            if isinstance(values, list):
                together = [value for part in answers for value in part[name]]
                assert together == [values[index] for index in order], name


@few
@given(sample=samples, batch=batches, bound=bounds)
def test_the_same_seed_has_the_same_bytes(
    asked: Asked, other: Asked, sample: dict[str, Any], batch: list[Any], bound: dict[str, Any]
) -> None:
    """In any application, and the first rows of more are fewer."""
    for verb, question in (("sample", sample), ("score", {"rows": batch, "bound": bound})):
        body = json.dumps(question).encode()
        first, second, elsewhere = (
            each.post(f"/{verb}", body, content_type="application/json").content for each in (asked, asked, other)
        )
        assert first == second == elsewhere
    fewer = answer(asked, "sample", sample | {"count": 1})
    assert answer(asked, "sample", sample)["rows"][:1] == fewer["rows"]
