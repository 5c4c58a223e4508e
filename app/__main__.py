"""The command line: nelbo serve, nelbo score, nelbo inspect, nelbo key."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from app import cpus
from app.columns import Wanted
from app.errors import NelboError, SettingsError
from app.hold import Hold
from app.inspection import describe
from app.keys import SCOPES, new_key
from app.model import open_model
from app.processes import Opening
from app.repository import open_repository
from app.scoring import Job, Workers, score_file
from app.settings import Settings
from app.verbs import default_rate

REFUSED = 1
CANNOT_START = 3
PIPE_CLOSED = 141
INTERRUPTED = 130
"""These two are what a shell reports of a program that the signal ended: 128 and its number."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0, 1 for what nelbo refuses, 3 for a service that cannot start."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except NelboError as error:
        print(f"nelbo: {error}", file=sys.stderr)
        return CANNOT_START if options.run is _serve else REFUSED
    except BrokenPipeError:
        _leave_stdout()
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _serve(options: argparse.Namespace) -> int:
    from app.serving import serve  # score and inspect start without the web framework

    return serve(_settings(options, "models", "model", "host", "port", "workers", "device"))


def _score(options: argparse.Namespace) -> int:
    hold = Hold.parse(options.hold)
    if options.workers is not None and options.workers < 1:
        raise SettingsError(f"--workers is {options.workers}; expected at least 1")
    settings = _settings(options, "models", "model", "device")
    model = open_repository(settings).default
    rate = default_rate(model) if options.false_alarm_rate is None else options.false_alarm_rate
    # One GPU is shared by all processes, and each would hold the model on it.
    workers = options.workers or (1 if model.engine.device == "cuda" else cpus.available())
    job = Job(options.file, Wanted(rate, options.explain), hold, Workers(workers), options.decimal)
    score_file(job, options.out, model, Opening(model.bundle.path, model.bundle.digest, settings))
    return 0


def _inspect(options: argparse.Namespace) -> int:
    # Resolved, because a bundle is checked against the names of the folders it is in.
    _say(describe(open_model(options.bundle.resolve(), _settings(options, "device"))))
    return 0


def _key(options: argparse.Namespace) -> int:
    secret, key = new_key(options.name, ",".join(options.scope or ["infer"]))
    _say(secret)
    print(key.line(), file=sys.stderr)
    return 0


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _leave_stdout()
        raise NelboError(f"stdout: {error.strerror}") from error


def _leave_stdout() -> None:
    """To nobody: Python writes what is left once more when it ends, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _settings(options: argparse.Namespace, *names: str) -> Settings:
    return Settings(**{name: getattr(options, name) for name in names if getattr(options, name) is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nelbo",
        description="Scores sensor vectors by how surprising they are.",
        epilog="Every setting of the service is an environment variable NELBO_…; a flag wins over it.",
    )
    parser.add_argument("--version", action="version", version=f"nelbo {metadata.version('nelbo')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    serve = commands.add_parser("serve", help="answer over HTTP", description="Answer over HTTP.")
    _add_repository(serve)
    serve.add_argument("--host", help="address to listen at (NELBO_HOST, default 127.0.0.1)")
    serve.add_argument("--port", help="port to listen at (NELBO_PORT, default 8000)")
    serve.add_argument("--workers", metavar="N", help="processes that answer (NELBO_WORKERS, default 1)")
    serve.set_defaults(run=_serve)
    _add_score(commands.add_parser("score", help="score a table", description=_SCORE))
    inspect = commands.add_parser(
        "inspect", help="verify a bundle and show its manifest and report", description=_INSPECT
    )
    inspect.add_argument("bundle", type=Path, metavar="BUNDLE", help="a folder <models>/<name>/<version>")
    _add_device(inspect)
    inspect.set_defaults(run=_inspect)
    key = commands.add_parser("key", help="make an API key", description=_KEY)
    key.add_argument("name", metavar="NAME", help="whose it is; it stands in the log")
    scopes = ", ".join(SCOPES)
    key.add_argument("--scope", action="append", metavar="SCOPE[,SCOPE]", help=f"of {scopes} (default infer)")
    key.set_defaults(run=_key)
    return parser


_SCORE = (
    "Writes the rows of a table with the columns score, p_value and alarm added. All other columns pass through; text "
    "keeps its delimiter and its decimal mark. A run into OUT that was cut short is gone on with when it is repeated."
)
_INSPECT = (
    "Verifies a bundle's hashes, signatures and probe, and shows its manifest and its training's report; exits with 1 "
    "when it must not be served."
)
_KEY = (
    "Makes an API key. The key goes to stdout and is kept nowhere: it is for who asks. Its line goes to stderr, for "
    "the file that NELBO_KEYS_FILE names."
)


def _add_score(score: argparse.ArgumentParser) -> None:
    score.add_argument("file", type=Path, metavar="FILE", help="delimited text with a header line, or .parquet")
    score.add_argument("-o", "--out", type=Path, metavar="OUT", help="file to write; text goes to stdout without it")
    score.add_argument("--explain", action="store_true", help="add kl and nats:<sensor>, which sum to the score")
    score.add_argument(
        "--false-alarm-rate",
        type=float,
        metavar="RATE",
        help="of healthy rows that may alarm (default 0.01, or the least)",
    )
    score.add_argument(
        "--hold",
        default="1/1",
        metavar="K/M",
        help="alarm when at least K of the last M rows have a p-value at or below the rate (default 1/1)",
    )
    score.add_argument(
        "--decimal", choices=("point", "comma"), help="the decimal mark of text, where its cells do not prove it"
    )
    score.add_argument("--workers", type=int, metavar="N", help="processes that score (default: as many as CPUs)")
    _add_repository(score)
    score.set_defaults(run=_score)


def _add_repository(command: argparse.ArgumentParser) -> None:
    command.add_argument("--models", help="the model repository (NELBO_MODELS, default models)")
    command.add_argument(
        "--model", metavar="NAME[@VERSION]", help="the model to use (NELBO_MODEL, default the only one)"
    )
    _add_device(command)


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", metavar="auto|cpu|cuda", help="what computes (NELBO_DEVICE, default auto)")


if __name__ == "__main__":
    sys.exit(main())
