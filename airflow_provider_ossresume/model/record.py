"""Results of calls, in a form that a task may return directly."""

from __future__ import annotations

from typing import Any


class Record(dict[str, Any]):
    """A value that is also a dict with the items of its :meth:`report`, so that every XCom backend can store it.

    Python code uses the attributes. The next task gets the items, as a plain dict of JSON values.
    """

    def __post_init__(self) -> None:
        self.seal()

    def seal(self) -> None:
        """Set the items from the report as it is now. A dataclass does this when it is created."""
        self.update(self.report())

    def report(self) -> dict[str, Any]:
        """Return the value as a dict of JSON values."""
        raise NotImplementedError


def crc64_text(crc64: int | None) -> str | None:
    """Return a CRC-64 as text for JSON, because most JSON readers round numbers of that size."""
    return None if crc64 is None else str(crc64)
