"""Names of part files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

MAX_NAME_BYTES = 143  # the limit of eCryptfs; not every file system reports its limit


def part_file_name(name: str, key: str, *, limit: int = MAX_NAME_BYTES) -> str:
    """Return the name of a part file. It is hidden, and unique to the transfer.

    :param key: the checkpoint's key
    :param limit: maximum bytes of a name
    """
    suffix = f".{hashlib.sha256(key.encode()).hexdigest()[:12]}.ossresume-part"
    room = max(1, limit - 1 - len(suffix))
    encoded = os.fsencode(name)
    if len(encoded) > room:  # between two characters
        name = encoded[:room].decode("utf-8", "ignore") or "_"
    return f".{name}{suffix}"


def part_file_path(final: Path, key: str) -> Path:
    """Return the path of a download's part file, beside the final file, with a name that its file system allows."""
    try:
        limit = os.pathconf(final.parent, "PC_NAME_MAX")
    except (OSError, ValueError):
        limit = MAX_NAME_BYTES
    limit = min(limit, MAX_NAME_BYTES) if limit > 0 else MAX_NAME_BYTES  # some report 0
    return final.with_name(part_file_name(final.name, key, limit=limit))
