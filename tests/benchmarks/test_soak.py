"""What the soak makes of what it has measured, shown on samples of which the truth is known."""

import numpy as np
import pytest

from benchmarks.soak.memory import CYCLE_SECONDS, Sample, growth

MEBIBYTE = 2**20


def measured(leak: float, phase: int, noise: float = 0.0) -> list[Sample]:
    """Of ten minutes in which 12 MiB come and go with a second version; the leak is in MiB."""
    seconds = np.arange(601)
    swapped = 12 * ((seconds + phase) % CYCLE_SECONDS >= CYCLE_SECONDS / 2)
    kept = np.repeat(noise * np.random.default_rng(phase).standard_normal(61), CYCLE_SECONDS)[: len(seconds)]
    resident = (130 + swapped + leak * seconds / 600 + kept) * MEBIBYTE
    return [Sample(at, int(held), 20, 4) for at, held in enumerate(resident)]


@pytest.mark.parametrize("phase", range(CYCLE_SECONDS))
@pytest.mark.parametrize("leak", [0.0, 5.0])
def test_a_leak_is_told_beside_versions_that_come_and_go(leak: float, phase: int) -> None:
    """From whichever second on they do."""
    assert growth(measured(leak, phase), 300).slope / MEBIBYTE == pytest.approx(leak, abs=0.05)


def test_what_chance_makes_of_memory_is_told_from_a_leak() -> None:
    """Where a cycle holds a MiB more or less than the next the error says so, and a leak of 10 MiB is one still."""
    still = [growth(measured(0.0, seed, noise=1.0), 300) for seed in range(200)]
    leaking = [growth(measured(10.0, seed, noise=1.0), 300) for seed in range(200)]

    assert np.mean([each.error for each in still]) == pytest.approx(np.std([each.slope for each in still]), rel=0.2)
    assert np.mean([each.least >= MEBIBYTE for each in leaking]) > 0.97
