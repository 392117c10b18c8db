"""A file descriptor that stays open while any thread uses it."""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from io import FileIO
from pathlib import Path

from airflow_provider_ossresume.errors import TransferStopped


class Descriptor:
    """A descriptor that :meth:`close` closes once no thread uses it. It is also closed when it is garbage collected.

    Otherwise a worker that was delayed before a write could write to another file that got the same number.

    All arguments except the last are those of ``os.open``, and so are the errors.

    :param path: the file, or the number of an open file, which this object then owns
    :param is_private: a forked child closes its copy at once; otherwise it would hold the file's lock until it exits
    """

    def __init__(
        self, path: Path | int, flags: int = os.O_RDONLY, mode: int = 0o777, *, is_private: bool = False
    ) -> None:
        self.users: set[Use] = set()
        self.is_closing = False
        self.files: list[FileIO] = []  # its methods are atomic: the thread that pops the file closes it
        # A signal handler may raise between any two Python steps, for example between opening a file and assigning it.
        # This is one step: C code opens, wraps and stores. A FileIO closes its number when it is deleted. It takes no
        # folders, so code elsewhere that opens one briefly, with a ``finally``, still has such a gap.
        numbers = (path,) if isinstance(path, int) else map(os.open, (path,), (flags,), (mode,))
        self.files.extend(map(FileIO, numbers))
        self._mark = weakref.ref(self)
        if is_private:
            _private.add(self._mark)

    def use(self) -> Use:
        """Lend the number to a ``with`` block.

        :raises TransferStopped: if it is closed, or about to be
        """
        return Use(self)

    def close(self) -> None:
        """Close it now, or when its last user is done. A second call does no harm."""
        self.is_closing = True
        if not self.users:
            self._close()

    def _close(self) -> None:
        _private.discard(self._mark)
        with suppress(IndexError):
            self.files.pop().close()

    def close_in_child(self) -> None:
        """Close it in a forked child, where none of the threads that use it exist."""
        self.is_closing = True
        self._close()


class Use:
    """One use of a descriptor. A class, not a generator, because each piece that is read or written makes one."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        self._descriptor.users.add(self)  # before the check: a close between the two is noticed by one of them
        if self._descriptor.is_closing:
            self.__exit__()
            raise TransferStopped("the transfer has ended, its files are closed")
        return self._descriptor.files[0].fileno()

    def __exit__(self, *_: object) -> None:
        self._descriptor.users.discard(self)
        if self._descriptor.is_closing:
            self._descriptor.close()


# Not a WeakSet: that runs Python code when a member is deleted, and an error of a signal handler is lost there.
_private: set[weakref.ref[Descriptor]] = set()


def _close_private() -> None:
    for mark in list(_private):
        if (descriptor := mark()) is not None:
            descriptor.close_in_child()


os.register_at_fork(after_in_child=_close_private)
