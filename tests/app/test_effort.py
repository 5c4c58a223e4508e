"""What a question that may take long is thought to take, before it is computed."""

import json
from pathlib import Path

import pytest

from app import verbs
from app.model import Model, open_model
from app.settings import Settings
from app.verbs import Effort, Verb

ROW, HOLED = [20, 1013, 5, 3], [20, None, 5, 3]
SETTINGS = Settings(device="cpu")
HELD_OUT = 999


@pytest.fixture
def plant(models: Path) -> Model:
    """Opened anew, so that no pattern of missing sensors is known."""
    return open_model(models / "plant" / "1", SETTINGS)


@pytest.mark.parametrize(
    ("verb", "question", "effort"),
    [
        (verbs.score, {"rows": 7 * [ROW]}, None),
        (verbs.score, {"rows": 7 * [ROW], "fdr": 0.1}, None),
        (verbs.score, {"rows": 7 * [ROW], "explain": True}, Effort("explained", 7 * 4)),
        (verbs.score, {"rows": 7 * [ROW], "bound": {"draws": 64, "seed": 1}}, Effort("bound", 7 * 64)),
        (verbs.score, {"rows": [ROW, HOLED]}, Effort("missing", 2 + HELD_OUT)),
        (verbs.score, {"rows": [HOLED, HOLED, [None, 1013, 5, 3]]}, Effort("missing", 3 + 2 * HELD_OUT)),
        (verbs.encode, {"rows": 7 * [ROW]}, None),
        (verbs.encode, {"rows": [ROW, HOLED]}, Effort("missing", 2)),
        (verbs.reconstruct, {"rows": [ROW, HOLED]}, Effort("missing", 2)),
        (verbs.sample, {"count": 3}, None),
        (verbs.sample, {"count": 3, "given": HOLED}, Effort("drawn", 3)),
    ],
)
def test_each_kind_of_work_is_counted_in_units_of_its_own(
    plant: Model, verb: Verb, question: dict[str, object], effort: Effort | None
) -> None:
    """And where nothing but a graph takes time, not at all."""
    assert verb(plant, SETTINGS, json.dumps(question).encode()).effort == effort


def test_a_pattern_is_ranked_once(plant: Model) -> None:
    """Who asks about it again asks for little."""
    body = json.dumps({"rows": [HOLED]}).encode()
    verbs.score(plant, SETTINGS, body).answer()

    assert verbs.score(plant, SETTINGS, body).effort == Effort("missing", 1)
