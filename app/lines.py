"""Bytes that arrive in pieces to whole lines, in constant memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

BLANK = b" \t\r\n"
"""What JSON has between its tokens, and no more."""


@dataclass(frozen=True)
class Line:
    """One line: its number, counted from 1, and its bytes without the end; None where it was too long to keep."""

    number: int
    content: bytes | None


async def whole_lines(pieces: AsyncIterator[bytes], most_bytes: int) -> AsyncIterator[list[Line]]:
    """The lines that each piece completes, blank ones left out; the last line needs no end.

    A line of more than `most_bytes` is passed over as it arrives, and told without content.
    """
    rest, number, passing = bytearray(), 0, False
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        rest += first
        done = []
        for start in others:
            number += 1
            done.append(Line(number, None if passing or len(rest) > most_bytes else bytes(rest).strip(BLANK)))
            rest, passing = bytearray(start), False
        if len(rest) > most_bytes:
            rest, passing = bytearray(), True
        yield [line for line in done if line.content != b""]
    if rest.strip(BLANK) or passing:
        yield [Line(number + 1, None if passing else bytes(rest).strip(BLANK))]
