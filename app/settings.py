"""Everything an operator may set: one frozen object, read from `NELBO_…` environment variables and passed in."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SettingsError

PREFIX = "NELBO_"
GUARDS = ("keys", "keys_file", "tls_certificate", "tls_key", "tls_client_authorities")
"""The settings that keep somebody out, and that nobody means to be empty."""
Positive = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """The service's settings; what is given by name wins over the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid")

    models: Path = Path("models")
    """The model repository: a folder of `<name>/<version>/` bundles."""
    model: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}(@[1-9][0-9]{0,8})?$")] | None = None
    """The model that answers at the root, `name` or `name@3`; unset, the only one there is."""
    watch_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Time between two looks at the model repository, whose changes are served without a restart; 0 never looks."""
    v2_control: bool = False
    """Whether an administrator may load and unload models under `/v2`; it takes a single worker."""
    host: str = "127.0.0.1"
    """The address to listen at."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """The port to listen at; 0 takes any free one."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What computes: `auto` takes CUDA where it works, `cuda` refuses to start where it does not."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that answer; they share the port, and their metrics are added up."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Threads of each worker that compute what is not small; unset, the worker's part of the CPUs that may be used."""
    keys: SecretStr | None = None
    """The API keys that may ask: lines as `nelbo key` prints them, or with `;` between them."""
    keys_file: Path | None = None
    """A file of such lines, which is read again when it has changed."""
    metrics_open: bool = False
    """Whether `/metrics` needs no key where keys are set."""
    tls_certificate: Path | None = None
    """A file in PEM: the certificate to serve HTTPS with, and those between it and its authority."""
    tls_key: Path | None = None
    """A file in PEM: the certificate's private key, not encrypted."""
    tls_client_authorities: Path | None = None
    """A file in PEM: who must have signed the certificate that each client shows; unset, none is asked for."""
    log: Literal["text", "json"] = "text"
    """How the log is written: lines for a person, or a JSON object a line, as the container image does."""
    access_log: bool = False
    """Whether requests that were answered have a line in the log, as those that were refused have."""
    max_body_bytes: Positive = 8 * 2**20
    """Longest request body."""
    max_rows: Positive = 16_384
    """Most rows a request may post, and most that it may ask to be sampled."""
    max_sample_values: Positive = 2**20
    """Most values, rows × sensors, in one answer of `/sample`."""
    max_explained_values: Positive = 2**14
    """Most values, rows × sensors, in one question with `explain`: each costs a reconstruction of its own."""
    max_bound_draws: Positive = 2**18
    """Most draws, rows × `draws`, in one question with `bound`."""
    max_patterns: Positive = 64
    """Most patterns of missing sensors in one `/score`: a new one costs scoring the held-out rows again."""
    queue_seconds: Annotated[float, Field(gt=0)] = 1.5
    """Time that what waits to be computed may take; while it takes longer, requests are refused with 503."""
    head_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Time within which a request's head must have arrived, on a new connection from its begin."""
    idle_seconds: Positive = 75
    """Time for which a connection is kept between two requests; more than most gateways keep it."""
    body_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Time within which a request's body must have arrived, or the next part of a stream."""
    write_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Time after which an answer is given up of which the client has taken nothing more."""
    drain_seconds: Annotated[float, Field(ge=0)] = 3.0
    """Time for which the service, told to stop, goes on to answer with readiness off and every connection closing."""
    shutdown_seconds: Annotated[int, Field(ge=0)] = 20
    """Time that requests under way are given to finish when the service is told to stop."""

    @property
    def keys_are_set(self) -> bool:
        """Whether who asks must show a key."""
        return self.keys is not None or self.keys_file is not None

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - pydantic checks each, and refuses names it does not know
        """Read the environment.

        Raises:
            SettingsError: naming the variable, what was found and what was expected.
        """
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise SettingsError("; ".join(map(_sentence, error.errors(include_url=False)))) from error
        for name in GUARDS:
            variable = f"{PREFIX}{name}".upper()
            if name not in given and os.environ.get(variable) == "":  # of a secret that is not there, perhaps
                raise SettingsError(f"{variable}: it is set and empty; expected a value, or no such variable")
        if self.v2_control and self.workers > 1:
            raise SettingsError(
                f"NELBO_V2_CONTROL: what is loaded or unloaded is so in one process; expected NELBO_WORKERS to be 1, "
                f"found {self.workers}"
            )


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with variables that look like settings and are none, a sentence each.

    Kubernetes makes some of its own for a service called nelbo.
    """
    known = [f"{PREFIX}{name}".upper() for name in Settings.model_fields]
    for name in sorted(environment.keys() - set(known)):
        if name.startswith(PREFIX) and not name.startswith((f"{PREFIX}SERVICE_", f"{PREFIX}PORT_")):
            meant = get_close_matches(name, known, 1)
            yield f"{name} is no setting, and ignored" + "".join(f"; is {other} meant?" for other in meant)


def _sentence(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails is a loose mapping
    name = f"{PREFIX}{fault['loc'][0]}".upper() if fault["loc"] else "settings"
    return f"{name}: {fault['msg']}; found {fault['input']!r}"
