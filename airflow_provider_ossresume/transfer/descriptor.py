"""An open file's number, which stays that file's as long as anybody uses it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from airflow_provider_ossresume.errors import TransferStopped


class Descriptor:
    """Closed when it is told to and its last user is done.

    A worker that was held up on its way to a write would else write into whatever file has the number by then.

    :param is_private: a forked child closes its copy at once; else it would hold the file's lock as long as it lives
    """

    def __init__(self, number: int, *, is_private: bool = False) -> None:
        self._number = [number]  # its methods are atomic: whoever takes the number closes it
        self._users: set[object] = set()
        self._is_closing = False
        if is_private:
            _private.add(self)

    @contextmanager
    def use(self) -> Iterator[int]:
        """Give the number to a block.

        :raises TransferStopped: when it is closed, or about to be
        """
        mark = object()
        self._users.add(mark)  # before the look: of a close that comes between the two, one of them knows
        try:
            if self._is_closing:
                raise TransferStopped("the transfer has ended, its files are closed")
            [number] = self._number
            yield number
        finally:
            self._users.discard(mark)
            self._close_unused()

    def close(self) -> None:
        """Close it now, or by its last user; to say so again does no harm."""
        self._is_closing = True
        self._close_unused()

    def _close_unused(self) -> None:
        if self._is_closing and not self._users:
            self._close()

    def _close(self) -> None:
        _private.discard(self)
        with suppress(IndexError):
            os.close(self._number.pop())

    def close_in_child(self) -> None:
        """Close it in a forked child, which has none of the threads that use it."""
        self._is_closing = True
        self._close()


_private: set[Descriptor] = set()


def _close_private() -> None:
    for each in list(_private):
        each.close_in_child()


os.register_at_fork(after_in_child=_close_private)
