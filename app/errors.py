"""What nelbo refuses, in words for a person. No HTTP here: `problems.py` holds the one table from error to status.

NelboError
├── SettingsError            the operator's settings contradict themselves or the machine
│   └── DeviceError          the device asked for cannot be had
├── BundleError              a bundle that must not be served
├── TableError               a file that cannot be read as a table of sensor readings
└── RequestError             something a client sent
    ├── Unauthenticated      from nobody that is known here
    ├── Forbidden            from somebody who may not ask this
    ├── MalformedRequest     bytes that are no HTTP request
    ├── HeadTooLarge         more bytes beside the body, or more headers, than the limit
    ├── MalformedBody        not readable as the format it says it is
    ├── UnsupportedMedia     a media type or coding that is not read
    ├── BodyTooLarge         more bytes than the limit
    ├── RequestTimeout       bytes that did not arrive in time
    ├── InvalidContent       readable, but not a question this model can be asked
    ├── UnknownResource      no such model or version
    ├── NotEnabled           something that this service is not set up to do
    └── Unavailable          not now, though later
"""

from dataclasses import dataclass
from pathlib import Path


class NelboError(Exception):
    """Anything nelbo refuses; its text is one plain sentence or two."""

    def __str__(self) -> str:
        """The text in one line: what it quotes and cannot be printed, such as a line end, is told by its escape."""
        text = super().__str__()
        return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class SettingsError(NelboError):
    """The settings contradict themselves or the machine."""


class DeviceError(SettingsError):
    """The device asked for cannot be had."""


class BundleError(NelboError):
    """A bundle that must not be served; the text names the bundle, what was found and what was expected.

    `reason` is the same without the folder and the words of other libraries: it may be told to a client.
    """

    def __init__(self, folder: Path, reason: str, cause: object = "") -> None:
        super().__init__(f"{folder}: {reason}: {cause}" if cause else f"{folder}: {reason}")
        self.reason = reason


class TableError(NelboError):
    """A file that cannot be read as a table; the text names the file, the line and what was expected."""


@dataclass(frozen=True)
class Fault:
    """One wrong place in a body: an RFC 6901 JSON pointer and what is wrong there, never the value itself."""

    pointer: str
    detail: str


class RequestError(NelboError):
    """Something a client sent cannot be answered.

    `code` is a stable slug for programs, `detail` is for people, `faults` are the places (at most 10 are told).
    """

    def __init__(self, code: str, detail: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.faults = faults[:10]


class Unauthenticated(RequestError):
    """The request has no key, or one that is not known here."""


class Forbidden(RequestError):
    """The request's key lacks the scope for what it asks."""


class MalformedRequest(RequestError):
    """What came is not an HTTP request."""


class HeadTooLarge(RequestError):
    """The request's head has more bytes or more headers than the limit."""


class MalformedBody(RequestError):
    """The body cannot be read as the format it says it is."""


class UnsupportedMedia(RequestError):
    """The body's media type, charset or coding is not one that is read."""


class BodyTooLarge(RequestError):
    """The body has more bytes than the limit."""


class RequestTimeout(RequestError):
    """The head or the body did not arrive in time."""


class InvalidContent(RequestError):
    """The body can be read, but is not a question this model can be asked."""


class UnknownResource(RequestError):
    """There is no such model, version or path."""


class NotEnabled(RequestError):
    """This service is not set up to do it."""


class Unavailable(RequestError):
    """The service cannot answer it now; it may be asked again in a moment."""
