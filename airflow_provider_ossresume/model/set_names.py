"""Which names a file of a set may have: as a key of OSS, and as a path below a folder.

A name is relative: that of a key is the key without the prefix, that of a file is its path below the folder. Its bytes
are the same on both sides, and nothing is normalised. Names are ordered by their UTF-8 bytes, as OSS lists keys. A
folder is sorted by its name with a slash, so the contents of ``a`` come after ``a-b``, because ``-`` is less than
``/``.
"""

from __future__ import annotations

import unicodedata
from typing import Generic, TypeVar

from airflow_provider_ossresume.errors import ArgumentError
from airflow_provider_ossresume.model.object_names import MAX_KEY_BYTES, check_new_key

OWN_FOLDER = ".ossresume"  # the name of the default work folder; such a folder is not part of a set, at any depth
MAX_FILE_NAME_BYTES = 255  # Linux, macOS: NAME_MAX of all common file systems

T = TypeVar("T")


def folder_prefix(prefix: str) -> str:
    """Return the prefix with a slash at its end, so that ``a`` does not match ``ab``. An empty prefix stays empty."""
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


def is_own(name: str) -> bool:
    """Return whether a name is in a folder ``.ossresume``, at any depth."""
    return OWN_FOLDER in name and OWN_FOLDER in name.split("/")[:-1]


def is_folder_marker(name: str) -> bool:
    """Return whether a name is that of an empty object that represents a folder."""
    return name.endswith("/")


def why_no_key(prefix: str, name: str) -> str:
    """Return why no object can have this name below a prefix; empty if one can."""
    key = prefix + name
    # Only a folder marker may end with a slash. Replace it with a character of the same size for the check.
    checked = f"{key[:-1]}x" if is_folder_marker(name) else key
    try:
        check_new_key(checked)
    except ArgumentError as error:
        return error.reason
    return ""


def why_no_path(name: str) -> str:
    """Return why no file can have a name below a folder, in words; empty if one can.

    A name that is allowed cannot lead out of the folder, and is the only spelling of its path.
    """
    if "\0" in name:
        return "the name of a file cannot contain a NUL character"
    for each in (name[:-1] if is_folder_marker(name) else name).split("/"):
        if not each:
            return "a path cannot begin with a slash, or have two in a row"
        if each in (".", ".."):
            return f"{each!r} cannot be the name of a file"
        if len(each) * 4 > MAX_FILE_NAME_BYTES and (size := len(each.encode())) > MAX_FILE_NAME_BYTES:
            return f"the name of a file has at most {MAX_FILE_NAME_BYTES} bytes, and this one has {size}"
    return ""


def why_too_deep(name: str) -> str:
    """Return why nothing below a folder with this name can have a key; empty if something can."""
    if len(name) * 4 > MAX_KEY_BYTES and (size := len(name.encode("utf-8", "surrogateescape"))) > MAX_KEY_BYTES:
        return f"OSS keys have at most {MAX_KEY_BYTES} bytes in UTF-8, and the folder's name has {size}"
    return ""


def folded(name: str) -> str:
    """Return a name in the form that a file system compares if it ignores case and Unicode forms.

    Such file systems differ in rare letters. In doubt, two names count as one here.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def composed(name: str) -> str | None:
    """Return the composed form (NFC) of a name that has two Unicode forms; None for other names."""
    if name.isascii():
        return None
    composed = unicodedata.normalize("NFC", name)
    return None if composed == name == unicodedata.normalize("NFD", name) else composed


class Ancestors(Generic[T]):
    """Finds the value of a folder above a name, for names in order. Its memory grows only with their depth."""

    def __init__(self) -> None:
        self._stack: list[tuple[bytes, T]] = []  # each begins with the one before it

    def of(self, place: bytes) -> T | None:
        """Return the value of the topmost name above this one. ``a`` and ``a/`` are above ``a/b``, not above ``ab``."""
        while self._stack and not place.startswith(self._stack[-1][0]):
            self._stack.pop()
        for above, value in self._stack:
            if place != above and (above.endswith(b"/") or place[len(above) : len(above) + 1] == b"/"):
                return value
        return None

    def add(self, place: bytes, value: T) -> None:
        """Add a name, which must come after all names that were added or asked for."""
        while self._stack and not place.startswith(self._stack[-1][0]):
            self._stack.pop()
        self._stack.append((place, value))
