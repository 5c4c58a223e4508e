"""Realised beside nominal false-alarm rates on the gas turbine: of rows like the held-out ones, and of later years.

    python -m benchmarks.false_alarms

The model is fitted to 2011 and 2012 in time order: the last fifth of these years calibrates it, and 2013, 2014 and 2015
are new. Then the rows of 2013 to 2015, which the model never saw, are parted 200 times at random into 5000 to calibrate
with and the rest: exchangeable, whatever the plant does, so that at most α of the rows should have p ≤ α.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from app.array import Array
from app.inspection import calibration_lines
from app.ranking import Ranking
from app.tail import fit_tail
from benchmarks.fitting import Fit, data_folder, fit, machine
from training.config import Config

YEARS = {2011: 7411, 2012: 7628, 2013: 7152, 2014: 7158, 2015: 7384}
"""Rows of each year, in the order of the table."""
RATES = (0.1, 0.05, 0.01, 1e-3, 1e-4)
REPEATS, CALIBRATED_WITH = 200, 5000
MISSING = ("CO", "NOX")


def main() -> None:
    """Print the tables."""
    print(machine())
    file = data_folder() / "gas-turbine" / "gas_turbine.csv"
    names = file.open(encoding="utf-8").readline().strip().split(",")
    x = np.loadtxt(file, delimiter=",", skiprows=1)
    year = dict(zip(YEARS, np.split(x, np.cumsum(list(YEARS.values()))[:-1]), strict=True))
    nelbo = fit(np.concatenate([year[2011], year[2012]]), Config(split="time"))
    print(f"fitted in {nelbo.seconds / 60:.1f} minutes; what nelbo-train tells:")
    for line in calibration_lines(nelbo.engine.manifest.calibration):
        print(f"  {line}")
    later = np.concatenate([year[2013], year[2014], year[2015]])
    holed = np.where(np.isin(names, MISSING), np.nan, later)
    years_before = ranked(nelbo.engine.score(nelbo.held_out).score)
    print(f"\n{'realised at a nominal rate of':34}" + "".join(f"{rate:>18g}" for rate in RATES))
    for when in (2013, 2014, 2015):
        _row(f"{when}, calibrated in 2012", [_realised(years_before, nelbo.engine.score(year[when]).score)])
    _row(f"exchangeable, {REPEATS} parts", list(_exchangeable(nelbo, later)))
    _row(f"the same without {' and '.join(MISSING)}", list(_exchangeable(nelbo, holed)))


def ranked(score: Array) -> Ranking:
    """The ranking among held-out scores [n], in any order."""
    held_out = np.sort(score)
    return Ranking(held_out, fit_tail(held_out))


def _exchangeable(nelbo: Fit, x: Array) -> Iterator[Array]:
    """Realised rates of rows x [n, D], parted anew each time."""
    score = nelbo.engine.score(x).score
    for seed in range(REPEATS):
        mixed = np.random.default_rng(seed).permutation(score)
        yield _realised(ranked(mixed[:CALIBRATED_WITH]), mixed[CALIBRATED_WITH:])


def _realised(ranking: Ranking, score: Array) -> Array:
    """The share of rows with p ≤ each rate; NaN for a rate that the held-out rows cannot vouch for."""
    p_value = ranking.p_value(score)
    return np.array([(p_value <= rate).mean() if rate >= ranking.least_rate else np.nan for rate in RATES])


def _row(name: str, realised: Sequence[Array]) -> None:
    """The mean rates and, of more than one parting, their standard errors."""
    mean = np.mean(realised, axis=0)
    error = np.std(realised, axis=0) / len(realised) ** 0.5
    cells = [f"{m:.4g}" + f" ± {e:.1g}" * (len(realised) > 1) for m, e in zip(mean, error, strict=True)]
    print(f"{name:34}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
