"""Checkpoints in memory, for tests and for callers that do not want to keep any."""

from __future__ import annotations


class MemoryCheckpointStore:
    """Keeps checkpoints in a dict. They are lost when the process ends."""

    ends_with_process = True

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def load(self, key: str) -> str | None:
        return self.texts.get(key)

    def save(self, key: str, text: str) -> None:
        self.texts[key] = text

    def delete(self, key: str) -> None:
        self.texts.pop(key, None)

    def __str__(self) -> str:
        return "memory"
