"""Whether a ``with`` block is being left by an exception, for a file that is closed by a layer that does not say why.

``fsspec.open``, pandas and Python's own text and buffer layers close their files the same way at a block's end and
after an exception. Only the frames above tell the two apart.
"""

from __future__ import annotations

import dis
import sys
from types import FrameType

_LEAVES_BY_AN_EXCEPTION = dis.opmap["WITH_EXCEPT_START"]  # calls a block's __exit__ with an exception
_EXITS = ("__exit__", "__aexit__")


def error_that_leaves_a_block(*, handled: BaseException | None) -> BaseException | None:
    """Return the exception that leaves a block of this thread just now, or None.

    What is called in an ``except`` or a ``finally`` of its own is not taken for one: there, to close a file means to
    publish it.

    :param handled: an exception that was being handled when the file was opened, and so says nothing of it
    """
    error = sys.exc_info()[1]
    if error is None or error is handled:
        return None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name in _EXITS or code.co_code[frame.f_lasti] == _LEAVES_BY_AN_EXCEPTION:
            return error
        frame = frame.f_back
    return None
