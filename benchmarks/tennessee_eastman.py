"""Detection of the 21 faults of the Tennessee Eastman process, nelbo's one default beside a full Gaussian.

    python -m benchmarks.tennessee_eastman

Fitted to the 500 rows of `d00`; the threshold is the 99 % quantile of the scores of the 960 normal rows of `d00_te`.
Each fault's own 960 rows are normal before row 161: ROC AUC is over all of them, detection is the share of those from
row 161 on above the threshold. The process: Downs and Vogel 1993; the rows: Chiang, Russell and Braatz 2001.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from app.array import Array
from benchmarks.detectors import gaussian
from benchmarks.fitting import data_folder, fit, machine
from training.config import Config

FAULTS = range(1, 22)
FAULT_FROM = 160
"""The first row of a test file, counted from 0, at which its fault is there."""
FALSE_ALARMS = 0.01
SUBTLE = (3, 9, 15)
"""Faults that hardly move any sensor; the means are told without them too."""

Score = Callable[[Array], Array]


@dataclass(frozen=True)
class Detection:
    """Of one fault, in percent."""

    roc_auc: float
    rate: float
    """Rows of the fault above the threshold."""


def main() -> None:
    """Print a line a fault and the means."""
    print(machine())
    folder = data_folder() / "tep"
    train, normal = rows(folder / "d00.dat"), rows(folder / "d00_te.dat")
    scaler = StandardScaler().fit(train)
    model = fit(train, Config())
    print(f"nelbo: {model.seconds:.0f} s to fit {len(train)} rows of {train.shape[1]} sensors\n")
    scores: dict[str, Score] = {
        "Gaussian": lambda x: gaussian(scaler.transform(train), scaler.transform(x)),
        "nelbo": lambda x: model.engine.score(x).score,
    }
    print(" ".join([f"{'':18}", *(f"{name + ': AUC':>15} {'detected':>8}" for name in scores)]), flush=True)
    found = {name: _detections(folder, score, normal) for name, score in scores.items()}
    for number in FAULTS:
        _tell(f"fault {number}", [detections[number] for detections in found.values()])
    _tell("mean", [_mean(list(detections.values())) for detections in found.values()])
    clear = [[each for number, each in detections.items() if number not in SUBTLE] for detections in found.values()]
    _tell(f"without {', '.join(map(str, SUBTLE))}", [_mean(detections) for detections in clear])


def rows(file: Path) -> Array:
    """The readings [n, 52] of a file; `d00.dat` lies on its side."""
    stored = np.loadtxt(file)
    return stored if stored.shape[1] == 52 else stored.T


def detect(score: Array, threshold: float) -> Detection:
    """How well the scores of one fault's file [960] tell its rows before the fault from those after."""
    faulty = np.arange(len(score)) >= FAULT_FROM
    return Detection(100 * roc_auc_score(faulty, score), 100 * float(np.mean(score[faulty] > threshold)))


def _detections(folder: Path, score: Score, normal: Array) -> dict[int, Detection]:
    threshold = float(np.quantile(score(normal), 1 - FALSE_ALARMS))
    return {number: detect(score(rows(folder / f"d{number:02}_te.dat")), threshold) for number in FAULTS}


def _mean(detections: list[Detection]) -> Detection:
    return Detection(
        float(np.mean([each.roc_auc for each in detections])), float(np.mean([each.rate for each in detections]))
    )


def _tell(name: str, detections: list[Detection]) -> None:
    print(" ".join([f"{name:18}", *(f"{each.roc_auc:15.2f} {each.rate:8.2f}" for each in detections)]), flush=True)


if __name__ == "__main__":
    main()
