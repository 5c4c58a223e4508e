import numpy as np
import pytest

from app.engine import Engine
from app.infer_request import InferRequest, Wanted
from app.inference import OUTPUTS, arrays, needed, run
from app.repository import Repository, open_repository
from app.settings import Settings
from tests.conftest import plant_rows


@pytest.fixture(scope="module")
def repository(settings: Settings) -> Repository:
    return open_repository(settings)


def asked(*outputs: str) -> InferRequest:
    return InferRequest(None, plant_rows(3, seed=4), tuple(Wanted(name, False) for name in outputs), None)


@pytest.mark.parametrize(
    ("outputs", "graphs"),
    [
        (("score", "alarm"), {"score"}),
        (("latent_scale",), {"encode"}),
        (("expected_mean", "kl"), {"expected", "score"}),
        (tuple(OUTPUTS), {"score", "encode", "expected"}),
    ],
)
def test_only_what_is_wanted_is_computed(
    repository: Repository, settings: Settings, outputs: tuple[str, ...], graphs: set[str]
) -> None:
    """The graphs that the outputs are made by, and no other."""
    question = asked(*outputs)
    found = needed(question, repository.default, settings)
    results = run(repository.default.engine, question.x, found)

    assert found == graphs
    assert {name for name in ("score", "encode", "expected") if getattr(results, name) is not None} == graphs
    assert set(outputs) <= arrays(question, results, repository.default, settings).keys()


def test_outputs_are_what_the_engine_says(repository: Repository, settings: Settings, plant_engine: Engine) -> None:
    """To the bit."""
    question = asked(*OUTPUTS)
    model = repository.default
    made = arrays(question, run(model.engine, question.x, needed(question, model, settings)), model, settings)

    np.testing.assert_array_equal(made["score"], plant_engine.score(question.x).score)
    np.testing.assert_array_equal(made["latent_mean"], plant_engine.encode(question.x).mean)
    np.testing.assert_array_equal(made["expected_scale"], plant_engine.expected(question.x).scale)
