"""Detection on the five server tables: per-row ROC AUC of the default configuration beside a full Gaussian's.

    python -m benchmarks.server_metrics [TABLE …]

Columns that are constant in training are included. The Gaussian is fitted to standardised columns, its covariance plus
1e-4·I; a constant column is left at its own unit there, as scikit-learn's StandardScaler does.
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from benchmarks.detectors import gaussian
from benchmarks.fitting import data_folder, fit, machine
from training.config import Config


def main(chosen: list[str]) -> None:
    """Print a line a table."""
    print(machine())
    files = sorted((data_folder() / "server-metrics").glob("*.npz"))
    print(f"{'table':14} {'rows':>7} {'sensors':>7} {'constant':>8} {'Gaussian':>9} {'nelbo':>7} {'minutes':>8}")
    for file in files:
        if not chosen or file.stem in chosen:
            _table(file)


def _table(file: Path) -> None:
    with np.load(file) as stored:
        train, test, label = stored["train"].astype(float), stored["test"].astype(float), stored["label"].ravel() > 0
    model = fit(train, Config())
    constant = int((train.min(axis=0) == train.max(axis=0)).sum())
    scaler = StandardScaler().fit(train)
    reference = roc_auc_score(label, gaussian(scaler.transform(train), scaler.transform(test)))
    ours = roc_auc_score(label, model.engine.score(test).score)
    print(
        f"{file.stem:14} {len(train):7} {train.shape[1]:7} {constant:8} {100 * reference:9.2f} {100 * ours:7.2f} "
        f"{model.seconds / 60:8.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
