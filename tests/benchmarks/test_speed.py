"""The training speeds: what is timed does train, and a time to a goal is that of the first evaluation there."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from benchmarks import speed
from benchmarks.speed import BATCH, Model, Run, Table, nelbo, plain, pyod_vae, pythae_vae, read, tell

TRUTH = multivariate_normal([10.0, -3.0, 0.0], [[4.0, 0.6, 0.0], [0.6, 0.25, 0.0], [0.0, 0.0, 1e-6]])
HELD_OUT = TRUTH.rvs(2048, random_state=2)
EXACT = -TRUTH.logpdf(HELD_OUT).mean()


@pytest.fixture(scope="module")
def table() -> Table:
    """Rows of which the exact nats are known, as many as fill nelbo's batches."""
    return read(TRUTH.rvs(20 * BATCH, random_state=1), HELD_OUT)


def test_the_plain_loop_approaches_the_exact_nats(table: Table) -> None:
    """In the rows' own units, from above, and with the steps; its one point in time is its end."""
    early, late = plain(table, seed=0, steps=20), plain(table, seed=0, steps=300)

    assert early.nats[-1] > EXACT + 0.2
    assert EXACT - 0.02 < late.nats[-1] < EXACT + 0.2
    assert late.seconds == pytest.approx((300 * BATCH / late.rows_a_second,))


def test_nelbo_is_timed_while_it_trains(table: Table) -> None:
    """To the exact nats of rows in their own units; the building of the model is in the seconds, not in the rate."""
    run = nelbo(table, seed=0, steps=60)

    assert 1 < len(run.nats) == len(run.seconds) <= 120 // 3
    assert (np.diff(run.seconds) > 0).all()
    assert run.seconds[-1] > len(run.nats) * BATCH / run.rows_a_second > 0
    assert min(run.nats) == pytest.approx(EXACT, abs=0.05)


@pytest.mark.parametrize(("package", "rival"), [("pyod", pyod_vae), ("pythae", pythae_vae)])
def test_a_rival_that_is_installed_is_timed(
    table: Table, package: str, rival: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows a second, and no nats: theirs are none of a row."""
    pytest.importorskip(package)
    monkeypatch.setattr(speed, "EPOCHS", 1)

    run = rival(table, 0)

    assert run.rows_a_second > 0
    assert run.nats == ()


def test_the_time_to_a_goal() -> None:
    """That of the first evaluation at or below it, though a later one is above it again; none where none is there."""
    run = Run(1.0, seconds=(1.0, 2.0, 3.0, 4.0), nats=(5.0, 3.0, 4.0, 2.0))

    assert [run.seconds_to(goal) for goal in (9.0, 4.0, 3.0, 2.5, 1.0)] == [1.0, 2.0, 2.0, 4.0, None]


def test_ratios_are_those_within_a_round(capsys: pytest.CaptureFixture[str]) -> None:
    """A round on a machine half as fast changes no ratio; a goal that was never reached takes for ever."""
    rounds = [
        {"plain loop": Run(100 * pace, (60 / pace,), (20.0,)), "nelbo": Run(150 * pace, (6 / pace, 12 / pace), nats)}
        for pace, nats in [(1.0, (21.0, 19.0)), (0.5, (21.0, 20.0)), (0.25, (21.0, 20.5))]
    ]

    tell(rounds)

    out = capsys.readouterr().out
    assert "nelbo                  75          1.50" in out
    assert "the plain loop ends at 20.000, nelbo's least is 20.000" in out
    assert "plain loop 120.0, nelbo 24.0, × plain loop 0.20" in out
