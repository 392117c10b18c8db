"""An open file's number, which stays that file's as long as anybody uses it."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from io import FileIO
from pathlib import Path

from airflow_provider_ossresume.errors import TransferStopped


class Descriptor:
    """Closed when it is told to and its last user is done, or when nobody has it any more.

    A worker that was held up on its way to a write would else write into whatever file has the number by then.

    The arguments but the last are those of ``os.open``, and so are the errors.

    :param path: or the number of a file that is open already, which is this one's from then on
    :param is_private: a forked child closes its copy at once; else it would hold the file's lock as long as it lives
    """

    def __init__(
        self, path: Path | int, flags: int = os.O_RDONLY, mode: int = 0o777, *, is_private: bool = False
    ) -> None:
        self.users: set[Use] = set()
        self.is_closing = False
        self.files: list[FileIO] = []  # its methods are atomic: whoever takes the file closes it
        # A signal's handler may raise between any two steps of Python's, such as an opening and the assignment of what
        # was opened. Here is one step: C code calls, wraps and stores. A FileIO closes its number when it goes, and
        # takes no folder: what is opened elsewhere for a moment, with a ``finally``, still has steps to be hit in.
        numbers = (path,) if isinstance(path, int) else map(os.open, (path,), (flags,), (mode,))
        self.files.extend(map(FileIO, numbers))
        self._mark = weakref.ref(self)
        if is_private:
            _private.add(self._mark)

    def use(self) -> Use:
        """Give the number to a ``with`` block.

        :raises TransferStopped: when it is closed, or about to be
        """
        return Use(self)

    def close(self) -> None:
        """Close it now, or by its last user; to say so again does no harm."""
        self.is_closing = True
        if not self.users:
            self._close()

    def _close(self) -> None:
        _private.discard(self._mark)
        with suppress(IndexError):
            self.files.pop().close()

    def close_in_child(self) -> None:
        """Close it in a forked child, which has none of the threads that use it."""
        self.is_closing = True
        self._close()


class Use:
    """One use of a descriptor; a class, as it is made for each piece that is read or written."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        self._descriptor.users.add(self)  # before the look: of a close that comes between the two, one of them knows
        if self._descriptor.is_closing:
            self.__exit__()
            raise TransferStopped("the transfer has ended, its files are closed")
        return self._descriptor.files[0].fileno()

    def __exit__(self, *_: object) -> None:
        self._descriptor.users.discard(self)
        if self._descriptor.is_closing:
            self._descriptor.close()


# No WeakSet: it calls Python code when one of them goes, and what a signal's handler raises there is lost.
_private: set[weakref.ref[Descriptor]] = set()


def _close_private() -> None:
    for mark in list(_private):
        if (descriptor := mark()) is not None:
            descriptor.close_in_child()


os.register_at_fork(after_in_child=_close_private)
