"""What a call returns, in a form that a task may return as it is."""

from __future__ import annotations

from typing import Any


class Record(dict[str, Any]):
    """A value that is also the dict of its own report, so that every XCom backend takes it.

    The attributes are for Python. The items are what the next task gets, as a plain dict: JSON has them all.
    """

    def __post_init__(self) -> None:
        self.seal()

    def seal(self) -> None:
        """Take the report as it is now; for a dataclass that is when it is made."""
        self.update(self.report())

    def report(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        raise NotImplementedError


def crc64_text(crc64: int | None) -> str | None:
    """Return a CRC-64 as JSON may have it: as text, as most JSON readers round numbers of that size."""
    return None if crc64 is None else str(crc64)
