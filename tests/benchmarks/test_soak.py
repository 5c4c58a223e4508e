"""What the soak makes of what it has measured, shown on samples of which the truth is known."""

import pytest

from benchmarks.soak.memory import CYCLE_SECONDS, Sample, growth

MEBIBYTE = 2**20


@pytest.mark.parametrize("phase", range(CYCLE_SECONDS))
@pytest.mark.parametrize("leak", [0.0, 5.0])
def test_a_leak_is_told_beside_versions_that_come_and_go(leak: float, phase: int) -> None:
    """12 MiB come and go with the second version, from whichever second on; the leak is in MiB in ten minutes."""
    swapped = [12 * ((second + phase) % CYCLE_SECONDS >= CYCLE_SECONDS / 2) for second in range(601)]
    samples = [Sample(at, int((130 + more + leak * at / 600) * MEBIBYTE), 20, 4) for at, more in enumerate(swapped)]

    assert growth(samples, 300) / MEBIBYTE == pytest.approx(leak, abs=0.05)
