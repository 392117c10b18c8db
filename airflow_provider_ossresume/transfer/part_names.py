"""How a download's part file is called."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

MAX_NAME_BYTES = 143  # eCryptfs has no room for more, and not every file system tells what it has


def part_file_name(name: str, key: str, *, limit: int = MAX_NAME_BYTES) -> str:
    """Return the part file's name: hidden, beside the final file, and of this transfer alone.

    :param key: the checkpoint's key
    :param limit: bytes that a name may have
    """
    suffix = f".{hashlib.sha256(key.encode()).hexdigest()[:12]}.ossresume-part"
    room = max(1, limit - 1 - len(suffix))
    encoded = os.fsencode(name)
    if len(encoded) > room:  # between two characters
        name = encoded[:room].decode("utf-8", "ignore") or "_"
    return f".{name}{suffix}"


def part_file_path(final: Path, key: str) -> Path:
    """Return the part file of a download, under a name that its file system has room for."""
    try:
        limit = os.pathconf(final.parent, "PC_NAME_MAX")
    except (OSError, ValueError):
        limit = MAX_NAME_BYTES
    limit = min(limit, MAX_NAME_BYTES) if limit > 0 else MAX_NAME_BYTES  # some tell 0 for all
    return final.with_name(part_file_name(final.name, key, limit=limit))
