"""The command `nelbo-train`: there as soon as nelbo is installed, and what it needs only with an extra."""

import sys


def main() -> int:
    """Train as told; 1, and why, where the extra `training` is not installed."""
    try:
        from training.__main__ import main as train
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in ("app", "training"):
            raise
        told = f"{error.name} is not installed; expected nelbo with its extra: pip install --editable '.[training]'"
        print(f"nelbo-train: {told}", file=sys.stderr)
        return 1
    return train()
