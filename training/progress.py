"""Where a run stands, for the one who waits: a bar on a terminal, one JSON line per evaluation anywhere else."""

import json
import sys
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from training.descent import Evaluation


class Progress:
    """Tells every evaluation on standard error; a context manager, so that the bar is put away whatever happens."""

    def __init__(self, steps: dict[str, int]) -> None:
        """`steps` is how many each stage may take, by its name."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[nats]}"),
            TimeRemainingColumn(),
        )
        self._bars = Bars(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._tasks: dict[str, TaskID] = {
            stage: self._bars.add_task(stage, total=total, nats="") for stage, total in steps.items()
        }

    def __enter__(self) -> "Progress":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def tell(self, evaluation: Evaluation) -> None:
        """One evaluation: its nats are of standardised sensors, on the validation rows and on the latest batches."""
        if self._bars.disable:
            print(json.dumps(vars(evaluation)), file=sys.stderr, flush=True)
        else:
            judged = evaluation.validation_nats
            nats = f"{'' if judged is None else f'{judged:.3f} nats, '}training {evaluation.train_nats:.3f}"
            self._bars.update(self._tasks[evaluation.stage], completed=evaluation.step, nats=nats)
