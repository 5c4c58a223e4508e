import numpy as np
import pytest
from msgspec.structs import replace

from app.engine import Engine
from app.infer_request import InferRequest, Wanted
from app.inference import OUTPUTS, ask
from app.repository import Repository, open_repository
from app.settings import Settings
from tests.conftest import plant_rows


@pytest.fixture(scope="module")
def repository(settings: Settings) -> Repository:
    return open_repository(settings)


def asked(*outputs: str) -> InferRequest:
    return InferRequest(None, plant_rows(3, seed=4), tuple(Wanted(name, False) for name in outputs), None)


@pytest.mark.parametrize(
    "outputs",
    [("score", "alarm"), ("latent_scale",), ("expected_mean", "kl"), ("p_value", "latent_mean"), tuple(OUTPUTS)],
)
def test_what_is_wanted_is_made(repository: Repository, settings: Settings, outputs: tuple[str, ...]) -> None:
    """Whatever is asked for together; and nothing that takes a graph of its own beside it."""
    question = asked(*outputs)
    found = ask(question, repository.default, settings)
    made = found.arrays(found.graph(question.x))

    sources = {OUTPUTS[name].source for name in outputs}
    assert set(outputs) <= made.keys()
    assert {OUTPUTS[name].source for name in made} == sources
    assert (found.effort is None) == (len(sources) == 1 and "expected" not in sources)


def test_a_row_with_missing_sensors_is_not_ranked_unless_that_is_wanted(
    repository: Repository, settings: Settings
) -> None:
    """A new pattern of missing sensors costs scoring the held-out rows again; a score alone does not need it."""
    question = replace(asked("score"), x=np.array([[20.0, np.nan, 5.0, 3.0]]))
    found = ask(question, repository.default, settings)

    assert found.arrays(found.graph(question.x)).keys() == {"score", "kl", "per_sensor"}
    assert found.effort == ("missing", 1)


def test_outputs_are_what_the_engine_says(repository: Repository, settings: Settings, plant_engine: Engine) -> None:
    """To the bit."""
    question = asked(*OUTPUTS)
    found = ask(question, repository.default, settings)
    made = found.arrays(found.graph(question.x))

    np.testing.assert_array_equal(made["score"], plant_engine.score(question.x).score)
    np.testing.assert_array_equal(made["latent_mean"], plant_engine.encode(question.x).mean)
    np.testing.assert_array_equal(made["expected_scale"], plant_engine.expected(question.x).scale)
