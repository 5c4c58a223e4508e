"""The log: a line for each record of every logger, on standard error, for a person or for a program."""

import logging
import sys
import threading
from types import TracebackType
from typing import Literal

from pythonjsonlogger.json import JsonFormatter

Form = Literal["text", "json"]
TEXT = "%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"
LEAST_LEVELS = {"uvicorn": logging.WARNING}
"""What others tell below this is nothing that an operator needs."""

logger = logging.getLogger("nelbo")


def begin(form: Form) -> None:
    """Write every record from here on, those of the server, warnings and what ends a thread or the process included.

    In JSON a record has `time` (RFC 3339, UTC), `level`, `logger`, `process` (its number), `message`, what it says of a
    request as fields of their own and, where there is one, the traceback as `exc_info`.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        # OpenTelemetry's instrumentation may have made one, and no record has two lines.
        if type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    ours = logging.StreamHandler()
    ours.setFormatter(_json() if form == "json" else logging.Formatter(TEXT))
    root.addHandler(ours)
    root.setLevel(logging.INFO)
    for name, level in LEAST_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    sys.excepthook = _ended
    threading.excepthook = lambda ended: logger.critical(
        "a thread was ended by an error",
        exc_info=(ended.exc_type, ended.exc_value or ended.exc_type(), ended.exc_traceback),
    )


def _json() -> logging.Formatter:
    fields, names = ("levelname", "name", "process", "message"), {"levelname": "level", "name": "logger"}
    return JsonFormatter(fields, rename_fields=names, timestamp="time")


def _ended(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        logger.critical("ended by an error", exc_info=(kind, error, traceback))
