"""What a check found, beside what was wanted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    check: str
    found: str
    wanted: str
    met: bool

    def row(self) -> str:
        """As a row of a Markdown table."""
        return f"| {self.check} | {self.found} | {self.wanted} | {'yes' if self.met else '**no**'} |"
